"""The bridge over real gRPC on loopback, between a pretended center and pretended edges."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import grpc
import numpy as np
import pytest

from channel_emulator.emulator import Emulator
from deploy.bench.loopback import CREDIT, Center, Edge, picture
from tests.channel_emulator.conftest import ending, sample
from wire.contract import pace
from wire.contract.arrays import unpack_complex
from wire.units import mean_power
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.v1 import types_pb2

Start = Callable[..., Awaitable[tuple[Emulator, str]]]


async def test_a_frame_crosses_the_channel_and_its_answer_comes_back(center: Center, start: Start) -> None:
    emulator, address = await start(links=[{"rig": "demo", "view": "left", "snr_db": 7}])
    async with Edge(address) as edge:
        edge._hello.loop_ms = 350
        assert (await edge.hello()).credit == CREDIT
        assert (await edge.hear()).link_report.snr_db == 7.0
        sent = picture(1)
        answer = await edge.frame(sent)
        assert (answer.sequence, answer.outcome) == (1, link_pb2.OUTCOME_ACCEPTED)

    hello, metadata = center.hellos[0]
    assert hello == edge._hello, "as it came, whatever it says"
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


async def test_a_frame_that_is_longer_than_its_symbols_is_not_passed_on(center: Center, start: Start) -> None:
    """64 of them wait where a link delays: of 1.5 MB each they were 100 MB of a link."""
    _, address = await start()
    stuffed = picture(1)
    stuffed.stages.add(stage="x" * 90_000)
    async with Edge(address) as edge:
        await edge.hello()
        answer = await edge.frame(stuffed)
        assert (answer.outcome, answer.reason) == (link_pb2.OUTCOME_REJECTED, "shape")
        assert answer.detail.endswith("bytes; one of a picture of 128x256 has at most 86016")
    assert not center.frames


async def test_a_frame_that_would_unpack_to_too_much_ends_its_stream(start: Start) -> None:
    _, address = await start()
    async with Edge(address) as edge:
        await edge.hello()
        await edge.send(link_pb2.TransmitRequest(frame=link_pb2.SymbolFrame(stages=[link_pb2.StageTime()] * 700_000)))
        refused = await ending(edge)
    assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "must be a frame" in (refused.details() or "")


async def test_a_center_that_answers_in_megabytes_is_left(center: Center, start: Start) -> None:
    """64 of them wait for an edge that reads slowly: of 8 MB each they were 512 MB a stream."""
    center.drain = link_pb2.Drain(reason="x" * 100_000)
    _, address = await start()
    async with Edge(address) as edge:
        await edge.hello()
        await edge.send(link_pb2.TransmitRequest(frame=picture(1)))
        refused = await ending(edge)
    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in (refused.details() or "")


async def test_frames_that_end_here_do_not_come_without_end(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The center never sees them, and their credit is back at once."""
    monkeypatch.setattr(pace, "LEAST_SECONDS", 60.0)  # on a machine however slow
    _, address = await start(defaults={"outage": True})
    async with Edge(address) as edge:
        await edge.hello()
        for sequence in range(1, pace.MOST_AT_ONCE):
            assert (await edge.frame(picture(sequence))).reason == "outage"
        await edge.send(link_pb2.TransmitRequest(frame=picture(pace.MOST_AT_ONCE)))
        refused = await ending(edge)
    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refused.details() == "256 frames came within 60 s; send fewer a second"


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
    outcomes = []
    for _ in range(2):
        _, address = await start(defaults={"loss": 0.5})
        async with Edge(address) as edge:
            await edge.hello()
            outcomes.append([(await edge.frame(picture(sequence))).outcome for sequence in range(1, 21)])
    assert outcomes[0] == outcomes[1]
    assert set(outcomes[0]) == {link_pb2.OUTCOME_ACCEPTED, link_pb2.OUTCOME_LOST}


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
    _, address = await start(defaults={"delay_ms": 1000, "jitter_ms": 20})
    async with Edge(address) as edge:
        await edge.hello()
        began = time.monotonic()
        for sequence in (1, 2, 3, 4):
            await edge.send(link_pb2.TransmitRequest(frame=picture(sequence)))
        order = [(await edge.hear("acknowledgement")).acknowledgement.sequence for _ in range(4)]
        took = time.monotonic() - began
    assert order == [1, 2, 3, 4]
    assert 0.9 < took < 3.0  # one after the other they would take 4 s
    assert all(stage.microseconds < 500_000 for frame in center.frames for stage in frame.stages)
