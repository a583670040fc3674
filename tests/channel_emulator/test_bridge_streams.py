"""How streams through the bridge begin, end and are refused, over real gRPC on loopback."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable

import grpc
import pytest
from grpc import aio
from prometheus_client import generate_latest

from channel_emulator.emulator import Emulator
from channel_emulator.relay import link_servicer
from deploy.bench.loopback import CREDIT, Center, Edge, picture
from tests.channel_emulator.conftest import refusal, sample
from tests.waiting import eventually
from wire.runtime import grpc_kit
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.v1 import types_pb2
from wire.views import View

Start = Callable[..., Awaitable[tuple[Emulator, str]]]


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
        ([nobody], "rig '' is not a name; use up to 63 letters"),
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
    monkeypatch.setattr(link_servicer, "SILENCE_SECONDS", 0.3)
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
    monkeypatch.setattr(link_servicer, "SILENCE_SECONDS", 0.1)
    _, address = await start()
    async with Edge(address, boot_id=1) as slow, Edge(address, boot_id=2) as other:
        slow._hello.frame_rate = 0.5
        await slow.hello()
        assert (await refusal(other)).code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_who_says_no_hello_is_not_waited_for_without_end(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_servicer, "HELLO_SECONDS", 0.1)
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


async def test_streams_that_the_center_refuses_take_no_link(center: Center, start: Start) -> None:
    emulator, address = await start(max_links=3)
    center.codec_hash = "another"
    for number in range(20):
        async with Edge(address, rig=f"stray-{number}") as stray:
            assert (await refusal(stray)).code() is grpc.StatusCode.FAILED_PRECONDITION
    assert [str(link) for link in emulator.links] == []
    assert "stray" not in generate_latest(emulator.metrics.registry).decode()
    center.codec_hash = ""
    async with Edge(address, rig="good") as good:
        await good.hello()
        assert [str(link) for link in emulator.links] == ["good/left"]


async def test_a_link_without_a_camera_makes_room_for_one_with(start: Start) -> None:
    emulator, address = await start(max_links=2, links=[{"rig": "fixed", "view": "left"}])
    for rig in ("a", "b"):
        async with Edge(address, rig=rig) as edge:
            await edge.hello()
            assert [str(link) for link in emulator.links] == [f"{rig}/left", "fixed/left"]
            await edge.leave()
        await eventually(lambda: not any(link.connected for link in emulator.links))
    assert 'rig="a"' not in generate_latest(emulator.metrics.registry).decode()


@pytest.mark.parametrize("name", ["a\nb", "\0", "x" * 64, "\x1b[31mred"])
async def test_names_are_checked_before_they_are_logged(
    start: Start, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    _, address = await start()
    async with Edge(address, rig="lab") as edge:
        edge._hello.rig = name
        error = await refusal(edge)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert str(error.details()).endswith("use up to 63 letters, digits, '_', '.' and '-', no sign first")
    assert name not in caplog.text


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
