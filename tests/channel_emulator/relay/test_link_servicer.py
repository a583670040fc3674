"""How streams through the bridge begin, end and are refused, over real gRPC on loopback."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from grpc import aio
from prometheus_client import generate_latest

from channel_emulator.emulator import Emulator
from channel_emulator.links.registry import FORGET_SECONDS
from channel_emulator.relay import bridge, link_servicer
from deploy.bench.faults.proxy import Proxy
from deploy.bench.loopback import CREDIT, Center, Edge, picture
from tests.channel_emulator.conftest import ending, refusal, sample
from tests.waiting import eventually
from wire.runtime import grpc_kit
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.v1 import types_pb2
from wire.views import View


def exposition(emulator: Emulator) -> bytes:
    return generate_latest(emulator.metrics.registry)


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


async def test_a_drain_by_one_of_several_centers_sends_the_edge_on_at_once(center: Any, start: Start) -> None:
    _, address = await start(upstream=f"ipv4:{center.address}")
    center.drain = link_pb2.Drain(reason="update", reconnect_after_ms=700)
    async with Edge(address) as edge:
        await edge.hello()
        await edge.send(link_pb2.TransmitRequest(frame=picture(1)))
        assert (await edge.hear("drain")).drain.reconnect_after_ms == 0


async def test_views_of_a_rig_at_two_centers_are_brought_together(center: Center, start: Start) -> None:
    """As when one center comes back while the views connect. Else they would never be a pair again."""
    _, address = await start()
    center.boot_id = 1
    async with Edge(address) as left, Edge(address, View.RIGHT) as right, Edge(address, rig="other") as other:
        await left.hello()
        await other.hello()
        center.boot_id = 2  # the same name leads elsewhere now
        await right.hello()
        drain = (await left.hear("drain")).drain
        assert (drain.reason, drain.reconnect_after_ms) == ("the other view of this rig is at another center", 0)
        await left.leave()
        async with Edge(address) as again:
            await again.hello()
            for edge in (again, right, other):  # nobody else is sent away
                await edge.frame(picture(1))
                assert edge.heard["drain"] == 0


async def test_a_connection_to_a_center_that_is_gone_without_a_word_is_left_for_a_new_one(
    center: Any, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every new stream went over the dead one, for more than a minute."""
    monkeypatch.setattr(link_servicer, "DEAD_SECONDS", 0.2)
    with Proxy(int(center.address.rpartition(":")[2])) as proxy:
        _, address = await start(upstream=proxy.address)
        async with Edge(address, boot_id=1) as edge:
            await edge.hello()
            proxy.abandon()
            await edge.send(link_pb2.TransmitRequest(frame=picture(1)))
            await asyncio.sleep(0.5)
        async with Edge(address, boot_id=1) as again:
            async with asyncio.timeout(10):
                await again.hello()
            assert (await again.frame(picture(1))).outcome == link_pb2.OUTCOME_ACCEPTED
        assert proxy.connections == 2


async def test_a_broken_contract_ends_the_stream(center: Center, start: Start) -> None:
    _, address = await start()
    frame = link_pb2.TransmitRequest(frame=picture(1))
    hello = link_pb2.TransmitRequest(hello=link_pb2.Hello(rig="demo", view=types_pb2.VIEW_LEFT))
    nobody = link_pb2.TransmitRequest(hello=link_pb2.Hello(view=types_pb2.VIEW_LEFT))
    sideless = link_pb2.TransmitRequest(hello=link_pb2.Hello(rig="demo"))
    for messages, line in (
        ([frame], "the first message must be a Hello; send one"),
        ([hello, hello], "after the Hello every message must be a frame"),
        ([nobody], "rig '' is not a name; use 1 to 63 letters"),
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
        assert str(error.details()).startswith("demo/left has a camera already; ")
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


async def test_a_camera_that_lost_power_does_not_keep_its_view(start: Start) -> None:
    emulator, address = await start()
    emulator._transmit.silence = 0.3
    async with Edge(address, boot_id=1) as dead, Edge(address, boot_id=2) as again:
        await dead.hello()
        await again.hello()  # it waits until the other has been silent for long enough
        assert (await again.frame(picture(1))).outcome == link_pb2.OUTCOME_ACCEPTED
        with pytest.raises(aio.AioRpcError) as ended:
            await dead.hear("acknowledgement")
    assert ended.value.code() is grpc.StatusCode.ABORTED
    assert re.fullmatch(
        r"silent for \d\.\d s, so another camera took demo/left; connect again", str(ended.value.details())
    )


async def test_a_camera_of_few_frames_is_not_taken_for_dead(start: Start) -> None:
    emulator, address = await start()
    emulator._transmit.silence = 0.2
    async with Edge(address, boot_id=1) as slow, Edge(address, boot_id=2) as other:
        slow._hello.frame_rate = 0.5
        await slow.hello()
        assert (await refusal(other)).code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_who_says_no_hello_is_not_waited_for_without_end(start: Start) -> None:
    emulator, address = await start()
    emulator._transmit.hellos.seconds = 0.1
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
        error = await ending(edge)
    assert (error.code(), error.details()) == (grpc.StatusCode.UNAVAILABLE, "the stream was cut off; connect again")


async def test_a_status_that_grpc_lost_gets_a_line(center: Center, start: Start) -> None:
    _, address = await start()
    center.refusal = (grpc.StatusCode.INTERNAL, grpc_kit.STATUS_LOST)
    async with Edge(address) as edge:
        error = await refusal(edge)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert str(error.details()).startswith("the center ended the stream while frames were being sent")


NO_NAMES = ["\0", "a\nb", "\x1b[31mred", "n" * 64, "n" * 4_000, "-dash", "lab/left", "ümlaut", ""]


@pytest.mark.parametrize("rig", NO_NAMES, ids=range(len(NO_NAMES)))
async def test_a_rig_that_is_no_name_is_refused_before_anything_is_made_of_it(
    center: Center, start: Start, rig: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    emulator, address = await start()
    async with Edge(address) as edge:
        edge._hello.rig = rig
        error = await refusal(edge)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "is not a name; use 1 to 63 letters" in str(error.details())
    assert len(str(error.details())) < 200
    assert str(error.details()).isprintable()
    assert all(record.getMessage().isprintable() and len(record.getMessage()) < 300 for record in caplog.records)
    assert center.hellos == []
    assert list(emulator.links) == []
    assert b"rig=" not in exposition(emulator)


async def test_who_the_center_refuses_takes_no_link(center: Center, start: Start) -> None:
    """62 such Hellos once took every free link until the emulator was restarted."""
    emulator, address = await start(max_links=2, links=[{"rig": "demo", "view": "left"}])
    center.codec_hash = "beef"
    for number in range(5):
        async with Edge(address, rig=f"stray-{number}") as edge:
            assert (await refusal(edge)).code() is grpc.StatusCode.FAILED_PRECONDITION
    assert [str(link) for link in emulator.links] == ["demo/left"]
    assert b"stray" not in exposition(emulator)
    center.codec_hash = "cafe"
    async with Edge(address, rig="good") as edge:
        await edge.hello()
        assert [str(link) for link in emulator.links] == ["demo/left", "good/left"]


async def test_frames_before_the_welcome_touch_no_link(center: Center, start: Start) -> None:
    emulator, address = await start()
    center.refusal = (grpc.StatusCode.FAILED_PRECONDITION, "not you")
    async with Edge(address, rig="hasty") as edge:
        hello = link_pb2.TransmitRequest(hello=edge._hello)
        assert (await refusal(edge, hello, link_pb2.TransmitRequest(frame=picture(1)))).details() == "not you"
    assert b"hasty" not in exposition(emulator)


async def test_a_link_without_its_camera_makes_room_for_another(start: Start) -> None:
    emulator, address = await start(max_links=2, links=[{"rig": "demo", "view": "left"}])
    async with Edge(address, rig="a") as first:
        await first.hello()
    await eventually(lambda: sample(emulator, "connected", rig="a") == 0)
    assert [str(link) for link in emulator.links] == ["a/left", "demo/left"], "its settings are kept for its return"
    async with Edge(address, rig="b") as second:
        await second.hello()
        assert [str(link) for link in emulator.links] == ["b/left", "demo/left"]
        assert b'rig="a"' not in exposition(emulator)


async def test_a_link_without_its_camera_is_forgotten_in_time(start: Start) -> None:
    emulator, address = await start(links=[{"rig": "demo", "view": "left"}])
    async with Edge(address, rig="a") as edge, Edge(address, rig="b") as other:
        await edge.hello()
        await other.hello()
        await edge.leave()
        await eventually(lambda: sample(emulator, "connected", rig="a") == 0)
        emulator.links.sweep(time.monotonic() + FORGET_SECONDS - 1)
        assert len(emulator.links) == 3
        emulator.links.sweep(time.monotonic() + FORGET_SECONDS)
        assert [str(link) for link in emulator.links] == ["b/left", "demo/left"]
        assert b'rig="a"' not in exposition(emulator)


async def test_a_center_that_does_not_answer_the_hello_holds_nobody(
    center: Center, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge, "WELCOME_SECONDS", 0.1)
    center.hang = True
    emulator, address = await start()
    async with Edge(address) as edge:
        error = await refusal(edge)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "sent no Welcome for 0.1 s" in str(error.details())
    assert list(emulator.links) == []


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
