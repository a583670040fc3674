"""The bridge over real gRPC on loopback, between a pretended center and pretended edges."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable

import grpc
import numpy as np
import pytest
from grpc import aio

from channel_emulator import transmit
from channel_emulator.emulator import Emulator
from channel_emulator.loopback import CREDIT, Center, Edge, picture
from wire import grpc_kit
from wire.arrays import unpack_complex
from wire.units import mean_power
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.v1 import types_pb2
from wire.views import View

Start = Callable[..., Awaitable[tuple[Emulator, str]]]


def sample(emulator: Emulator, name: str, **labels: str) -> float:
    named = {"rig": "demo", "view": "left"} | labels
    return emulator.metrics.registry.get_sample_value(f"vergence_emulator_{name}", named) or 0.0


async def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5.0
    for _ in iter(condition, True):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


async def refusal(edge: Edge, *messages: link_pb2.TransmitRequest) -> aio.AioRpcError:
    """How a stream ends that is refused. gRPC may notice it at a write or at a read."""
    try:
        if not messages:
            await edge.hello()
        for message in messages:
            await edge.send(message)
        while True:
            await edge.hear()
    except aio.AioRpcError as error:
        return error


async def test_a_frame_crosses_the_channel_and_its_answer_comes_back(center: Center, start: Start) -> None:
    emulator, address = await start(links=[{"rig": "demo", "view": "left", "snr_db": 7}])
    async with Edge(address) as edge:
        assert (await edge.hello()).credit == CREDIT
        assert (await edge.hear()).link_report.snr_db == 7.0
        sent = picture(1)
        answer = await edge.frame(sent)
        assert (answer.sequence, answer.outcome) == (1, link_pb2.OUTCOME_ACCEPTED)

    hello, metadata = center.hellos[0]
    assert (hello.rig, hello.codec_hash, hello.frame_rate) == ("demo", "cafe", 30.0)
    assert metadata["x-rig-id"] == "demo"
    frame = center.frames[0]
    noise = unpack_complex(frame.symbols) - unpack_complex(sent.symbols)
    assert 10 * np.log10(1 / mean_power(noise)) == pytest.approx(7.0, abs=0.4)  # six standard deviations of one frame
    assert frame.channel_state.snr_db == 7.0
    assert frame.channel_state.noise_variance == pytest.approx(10**-0.7)
    assert frame.channel_state.gain.count == 0
    assert (frame.captured_at_ns, frame.age_budget_ms) == (sent.captured_at_ns, 500)
    assert [(stage.stage, stage.microseconds > 0) for stage in frame.stages] == [("channel", True)]

    assert sample(emulator, "frames_total", outcome="forwarded", reason="") == 1
    assert sample(emulator, "symbols_total") == 5120
    assert sample(emulator, "sent_bytes_total") == 40960
    assert sample(emulator, "power_ratio") == pytest.approx(1.0, abs=1e-3)
    assert sample(emulator, "measured_snr_decibels") == pytest.approx(7.0, abs=0.4)
    assert sample(emulator, "processing_seconds_count") == 1


async def test_a_clean_link_forwards_the_very_bytes(center: Center, start: Start) -> None:
    _, address = await start(defaults={"model": "clean"})
    sent = picture(1, "f16")
    async with Edge(address, rig="stranger") as edge:
        await edge.hello()
        assert (await edge.hear()).link_report.snr_db == float("inf")
        await edge.frame(sent)
    assert center.frames[0].symbols == sent.symbols
    assert center.frames[0].channel_state.snr_db == float("inf")
    assert center.frames[0].channel_state.noise_variance == 0.0


async def test_without_csi_nobody_learns_the_gain_and_the_transmitter_nothing(center: Center, start: Start) -> None:
    _, address = await start(defaults={"model": "rayleigh", "csi": "none"})
    async with Edge(address) as edge:
        await edge.hello()
        await edge.send(link_pb2.TransmitRequest(frame=picture(1)))
        assert (await edge.hear()).WhichOneof("message") == "acknowledgement"
    assert center.frames[0].channel_state.snr_db == 10.0
    assert center.frames[0].channel_state.gain.count == 0


async def test_the_edge_hears_of_a_moving_snr(start: Start) -> None:
    _, address = await start(defaults={"walk": {"step_db": 20.0}})
    async with Edge(address) as edge, asyncio.timeout(5):
        await edge.hello()
        reports = [(await edge.hear("link_report")).link_report.snr_db for _ in range(3)]
    assert len(set(reports)) == 3


@pytest.mark.parametrize(
    ("settings", "reason"), [({"outage": True}, "outage"), ({"loss": 1.0}, "loss")], ids=["outage", "loss"]
)
async def test_a_lost_frame_is_acknowledged_as_lost(
    center: Center, start: Start, settings: dict[str, object], reason: str
) -> None:
    emulator, address = await start(defaults=settings)
    async with Edge(address) as edge:
        await edge.hello()
        answer = await edge.frame(picture(1))
    assert (answer.outcome, answer.reason) == (link_pb2.OUTCOME_LOST, reason)
    assert "demo/left" in answer.detail
    assert center.frames == []
    assert sample(emulator, "frames_total", outcome="lost", reason=reason) == 1


async def test_loss_is_a_chance_that_repeats_with_the_seed(start: Start) -> None:
    fates = []
    for _ in range(2):
        _, address = await start(defaults={"loss": 0.5})
        async with Edge(address) as edge:
            await edge.hello()
            fates.append([(await edge.frame(picture(sequence))).outcome for sequence in range(1, 21)])
    assert fates[0] == fates[1]
    assert set(fates[0]) == {link_pb2.OUTCOME_ACCEPTED, link_pb2.OUTCOME_LOST}


async def test_a_wrong_frame_is_answered_and_the_stream_goes_on(center: Center, start: Start) -> None:
    emulator, address = await start()
    broken, loud, short, odd = (picture(sequence) for sequence in (1, 2, 3, 4))
    symbols = unpack_complex(broken.symbols).copy()
    symbols[5] = np.nan
    broken.symbols.data = symbols.tobytes()
    loud.symbols.data = (unpack_complex(loud.symbols) * np.float32(1.1)).tobytes()
    short.symbols.data = short.symbols.data[:-1]
    odd.symbols.sample_type = types_pb2.SAMPLE_TYPE_UNSPECIFIED
    async with Edge(address) as edge:
        await edge.hello()
        answers = [await edge.frame(frame) for frame in (broken, loud, short, odd, picture(5))]
    assert [answer.outcome for answer in answers[:4]] == [link_pb2.OUTCOME_REJECTED] * 4
    assert [answer.reason for answer in answers[:4]] == ["not_finite", "power", "shape", "type"]
    assert "1 of 5120 symbols are NaN or infinite" in answers[0].detail
    assert answers[4].outcome == link_pb2.OUTCOME_ACCEPTED
    assert [frame.sequence for frame in center.frames] == [5]
    assert sample(emulator, "frames_total", outcome="rejected", reason="not_finite") == 1


async def test_delay_keeps_the_order_and_does_not_hold_up_the_next_frame(center: Center, start: Start) -> None:
    _, address = await start(defaults={"delay_ms": 150, "jitter_ms": 20})
    async with Edge(address) as edge:
        await edge.hello()
        began = time.monotonic()
        for sequence in (1, 2, 3, 4):
            await edge.send(link_pb2.TransmitRequest(frame=picture(sequence)))
        order = [(await edge.hear("acknowledgement")).acknowledgement.sequence for _ in range(4)]
        took = time.monotonic() - began
    assert order == [1, 2, 3, 4]
    assert 0.05 < took < 0.45  # one after the other they would take 0.6 s
    assert all(stage.microseconds < 50_000 for frame in center.frames for stage in frame.stages)


async def test_no_center_is_an_honest_unavailable(start: Start) -> None:
    _, address = await start(upstream="127.0.0.1:1")
    async with Edge(address) as edge:
        error = await refusal(edge)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert error.details() == "no center answers at 127.0.0.1:1; start it: vergence-center run"


async def test_a_center_that_dies_ends_the_stream_as_unavailable(center: Center, start: Start) -> None:
    emulator, address = await start()
    async with Edge(address) as edge:
        await edge.hello()
        await edge.frame(picture(1))
        await center.stop()
        with pytest.raises(aio.AioRpcError) as ended:
            await edge.hear("acknowledgement")
    assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
    await eventually(lambda: sample(emulator, "connected") == 0)


async def test_the_centers_refusal_reaches_the_edge_with_its_line(center: Center, start: Start) -> None:
    _, address = await start()
    center.codec_hash = "beef"
    async with Edge(address) as edge:
        error = await refusal(edge)
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert error.details() == "codec cafe does not fit; the center has beef"


async def test_the_centers_drain_reaches_the_edge(center: Center, start: Start) -> None:
    _, address = await start()
    center.drain = link_pb2.Drain(reason="update", reconnect_after_ms=7)
    async with Edge(address) as edge:
        await edge.hello()
        await edge.send(link_pb2.TransmitRequest(frame=picture(1)))
        drain = (await edge.hear("drain")).drain
        await edge.leave()
        with pytest.raises(EOFError):
            await edge.hear("welcome")
    assert (drain.reason, drain.reconnect_after_ms) == ("update", 7)


async def test_a_broken_contract_ends_the_stream(center: Center, start: Start) -> None:
    _, address = await start()
    frame = link_pb2.TransmitRequest(frame=picture(1))
    hello = link_pb2.TransmitRequest(hello=link_pb2.Hello(rig="demo", view=types_pb2.VIEW_LEFT))
    nobody = link_pb2.TransmitRequest(hello=link_pb2.Hello(view=types_pb2.VIEW_LEFT))
    sideless = link_pb2.TransmitRequest(hello=link_pb2.Hello(rig="demo"))
    for messages, line in (
        ([frame], "the first message must be a Hello; send one"),
        ([hello, hello], "after the Hello every message must be a frame"),
        ([nobody], "the rig's name has 0 characters; give it 1 to 64"),
        ([sideless], "view 0 is unknown; set VIEW_LEFT or VIEW_RIGHT"),
    ):
        async with Edge(address) as edge:
            error = await refusal(edge, *messages)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert line in str(error.details())


async def test_a_second_camera_for_a_view_is_refused(start: Start) -> None:
    _, address = await start()
    async with (
        Edge(address, boot_id=1) as first,
        Edge(address, boot_id=2) as second,
        Edge(address, View.RIGHT) as right,
    ):
        await first.hello()
        await right.hello()
        error = await refusal(second)
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert str(error.details()).startswith("demo/left is already connected from another sender")
        assert (await first.frame(picture(1))).outcome == link_pb2.OUTCOME_ACCEPTED


async def test_the_same_sender_coming_back_replaces_its_old_stream(center: Center, start: Start) -> None:
    emulator, address = await start()
    async with Edge(address, boot_id=1) as old, Edge(address, boot_id=1) as new:
        await old.hello()
        await new.hello()
        assert (await new.frame(picture(1))).outcome == link_pb2.OUTCOME_ACCEPTED
        with pytest.raises(aio.AioRpcError) as ended:
            await old.hear("acknowledgement")
        assert ended.value.code() is grpc.StatusCode.ABORTED
        assert sample(emulator, "connected") == 1
        await eventually(lambda: center.streams == 1)


async def test_a_camera_that_restarts_is_let_in_as_soon_as_its_old_stream_is_gone(start: Start) -> None:
    _, address = await start()
    async with Edge(address, boot_id=1) as old, Edge(address, boot_id=2) as new:
        await old.hello()
        arriving = asyncio.create_task(new.hello())
        await asyncio.sleep(0.05)
        await old.leave()
        assert (await arriving).credit == CREDIT


async def test_a_camera_that_lost_power_does_not_keep_its_view(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transmit, "SILENCE_SECONDS", 0.3)
    _, address = await start()
    async with Edge(address, boot_id=1) as dead, Edge(address, boot_id=2) as again:
        await dead.hello()
        await again.hello()  # it waits until the other has been silent for long enough
        assert (await again.frame(picture(1))).outcome == link_pb2.OUTCOME_ACCEPTED
        with pytest.raises(aio.AioRpcError) as ended:
            await dead.hear("acknowledgement")
    assert ended.value.code() is grpc.StatusCode.ABORTED
    assert re.fullmatch(
        r"silent for \d\.\d s, so another sender took demo/left; connect again", str(ended.value.details())
    )


async def test_a_camera_of_few_frames_is_not_taken_for_dead(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transmit, "SILENCE_SECONDS", 0.1)
    _, address = await start()
    async with Edge(address, boot_id=1) as slow, Edge(address, boot_id=2) as other:
        slow._hello.frame_rate = 0.5
        await slow.hello()
        assert (await refusal(other)).code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_who_says_no_hello_is_not_waited_for_without_end(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transmit, "HELLO_SECONDS", 0.1)
    _, address = await start()
    async with Edge(address) as mute:
        with pytest.raises(aio.AioRpcError) as ended:
            await mute.hear()
    assert ended.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert ended.value.details() == "no Hello within 0.1 s; send one first"


async def test_nobody_slips_past_a_drain(start: Start) -> None:
    emulator, address = await start(drain_seconds=2.0)
    async with Edge(address, boot_id=1) as old, Edge(address, boot_id=2) as new:
        await old.hello()
        refused = asyncio.create_task(refusal(new))
        await asyncio.sleep(0.1)  # it waits for the view
        stopping = asyncio.create_task(emulator.stop())
        await old.hear("drain")
        await old.leave()
        error = await refused
        await stopping
    assert (error.code(), error.details()) == (
        grpc.StatusCode.UNAVAILABLE,
        "the channel emulator is draining; come back later",
    )


async def test_a_call_that_is_cancelled_under_the_bridge_does_not_leave_the_edge_hanging(start: Start) -> None:
    """gRPC then raises CancelledError in whoever reads, which no `asyncio.wait` takes for a failure."""
    emulator, address = await start()
    async with Edge(address) as edge, asyncio.timeout(5):
        await edge.hello()
        (stream,) = emulator._transmit._streams.values()
        stream.bridge._call.cancel()
        error = await refusal(edge, link_pb2.TransmitRequest(frame=picture(1)))
    assert (error.code(), error.details()) == (grpc.StatusCode.UNAVAILABLE, "the stream was cut off; connect again")


async def test_a_status_that_grpc_lost_gets_a_line(center: Center, start: Start) -> None:
    _, address = await start()
    center.refusal = (grpc.StatusCode.INTERNAL, grpc_kit.STATUS_LOST)
    async with Edge(address) as edge:
        error = await refusal(edge)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert str(error.details()).startswith("the center ended the stream while frames were being sent")


async def test_strangers_cannot_fill_the_memory(start: Start) -> None:
    _, address = await start(max_links=1)
    async with Edge(address, rig="a") as first, Edge(address, rig="b") as second:
        await first.hello()
        error = await refusal(second)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "max_links" in str(error.details())


async def test_many_reconnects_leave_nothing_behind(center: Center, start: Start) -> None:
    emulator, address = await start(links=[{"rig": "demo", "view": "left"}])
    before = len(asyncio.all_tasks())
    for boot in range(1, 61):
        async with Edge(address, boot_id=boot) as edge:
            await edge.hello()
            await edge.frame(picture(boot))
            if boot % 2:
                await edge.leave()
        await eventually(lambda: sample(emulator, "connected") == 0)
    await eventually(lambda: center.streams == 0 and len(asyncio.all_tasks()) <= before)
    assert sample(emulator, "streams_total") == 60


async def test_a_drain_is_announced_and_short(start: Start) -> None:
    emulator, address = await start(drain_seconds=2.0)
    async with Edge(address) as polite, Edge(address, View.RIGHT) as late:
        await polite.hello()
        began = time.monotonic()
        stopping = asyncio.create_task(emulator.stop())
        drain = (await polite.hear("drain")).drain
        assert drain.reconnect_after_ms > 0
        assert not await grpc_kit.healthy(address, timeout=2)
        error = await refusal(late)
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert error.details() == "the channel emulator is draining; come back later"
        assert (await polite.frame(picture(1))).outcome == link_pb2.OUTCOME_ACCEPTED
        await polite.leave()
        await stopping
        assert time.monotonic() - began < 1.5


async def test_an_edge_that_does_not_leave_is_cut_off(start: Start) -> None:
    emulator, address = await start(drain_seconds=0.4)
    async with Edge(address) as stubborn:
        await stubborn.hello()
        began = time.monotonic()
        await emulator.stop()
        assert time.monotonic() - began < 2.0
        with pytest.raises(aio.AioRpcError):
            await stubborn.hear("acknowledgement")
