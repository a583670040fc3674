"""Live control over real gRPC, with and without a camera on the link."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from grpc import aio

from channel_emulator.emulator import Emulator
from channel_emulator.links import control_servicer
from deploy.bench.loopback import Center, Edge, picture
from tests.waiting import eventually
from wire.runtime import grpc_kit
from wire.security import caller
from wire.security.caller import Caller
from wire.security.tokens import Principal, Role
from wire.v1 import channel_control_service_pb2 as pb
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.v1 import types_pb2
from wire.v1.channel_control_service_pb2_grpc import ChannelControlServiceStub
from wire.views import View

Start = Callable[..., Awaitable[tuple[Emulator, str]]]
LINKS = [{"rig": "demo", "view": "right", "snr_db": 1}, {"rig": "demo", "view": "left", "snr_db": 10, "loss": 0.25}]
LEFT: dict[str, Any] = {"rig": "demo", "view": types_pb2.VIEW_LEFT}


@asynccontextmanager
async def control(address: str) -> AsyncIterator[Any]:
    async with grpc_kit.connect(address) as channel:
        yield ChannelControlServiceStub(channel)


async def update(stub: Any, **settings: Any) -> pb.Link:
    answer = await stub.UpdateLink(pb.UpdateLinkRequest(**LEFT, settings=pb.LinkSettings(**settings)))
    link: pb.Link = answer.link
    return link


async def test_configured_links_exist_before_a_camera_comes(start: Start) -> None:
    _, address = await start(links=LINKS)
    async with control(address) as stub:
        links = (await stub.ListLinks(pb.ListLinksRequest())).links
        assert [(link.rig, link.view, link.current_snr_db, link.connected) for link in links] == [
            ("demo", types_pb2.VIEW_LEFT, 10.0, False),
            ("demo", types_pb2.VIEW_RIGHT, 1.0, False),
        ]
        settings = (await stub.GetLink(pb.GetLinkRequest(**LEFT))).link.settings
    assert settings == pb.LinkSettings(
        model=pb.CHANNEL_MODEL_AWGN,
        snr_db=10.0,
        coherence=5120,
        k_factor_db=6.0,
        doppler=1e-4,
        outage=False,
        loss=0.25,
        delay_ms=0.0,
        jitter_ms=0.0,
        csi=pb.CSI_POLICY_PERFECT,
        power=pb.POWER_POLICY_REJECT,
    )


async def test_an_update_changes_what_is_given_and_a_reset_goes_back(start: Start) -> None:
    _, address = await start(links=LINKS)
    async with control(address) as stub:
        changed = await update(stub, model=pb.CHANNEL_MODEL_RICIAN, k_factor_db=0.0, loss=0.0)
        assert changed.version == 1
        assert (changed.settings.model, changed.settings.k_factor_db) == (pb.CHANNEL_MODEL_RICIAN, 0.0)
        assert (changed.settings.loss, changed.settings.snr_db) == (0.0, 10.0)
        back = (await stub.ResetLink(pb.ResetLinkRequest(**LEFT))).link
        assert back.version == 2
        assert (back.settings.model, back.settings.loss) == (pb.CHANNEL_MODEL_AWGN, 0.25)


async def test_a_fixed_snr_ends_a_walk_and_a_reset_starts_it_again(start: Start) -> None:
    _, address = await start(links=[{"rig": "demo", "view": "left", "walk": {}}])
    async with control(address) as stub:
        walking = (await stub.GetLink(pb.GetLinkRequest(**LEFT))).link
        assert not walking.settings.HasField("snr_db")
        assert 0.0 <= walking.current_snr_db <= 20.0
        assert (await update(stub, loss=0.5)).settings.HasField("snr_db") is False
        assert (await update(stub, snr_db=3.0)).settings.snr_db == 3.0
        assert not (await stub.ResetLink(pb.ResetLinkRequest(**LEFT))).link.settings.HasField("snr_db")


async def test_a_change_counts_from_the_next_frame_and_the_edge_is_told(center: Center, start: Start) -> None:
    _, address = await start(links=LINKS, defaults={"model": "awgn"})
    async with Edge(address) as edge, control(address) as stub:
        await edge.hello()
        assert (await edge.hear("link_report")).link_report.snr_db == 10.0
        await update(stub, loss=0.0)
        await edge.frame(picture(1))
        await update(stub, snr_db=-3.0)
        assert (await edge.hear("link_report")).link_report.snr_db == -3.0
        await edge.frame(picture(2))
        await update(stub, snr_db=-2.995)  # too little to tell
        await update(stub, outage=True)
        answer = await edge.frame(picture(3))
        assert (answer.outcome, answer.reason) == (link_pb2.OUTCOME_LOST, "outage")
        await update(stub, outage=False, model=pb.CHANNEL_MODEL_CLEAN)
        assert (await edge.hear()).link_report.snr_db == float("inf")
        await edge.frame(picture(4))
        link = (await stub.GetLink(pb.GetLinkRequest(**LEFT))).link
    assert [frame.channel_state.snr_db for frame in center.frames] == [10.0, -3.0, float("inf")]
    assert (link.connected, link.frames, link.lost, link.version) == (True, 3, 1, 5)
    assert link.measured_snr_db == float("inf")


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"snr_db": float("nan")}, "snr_db must lie between -50 and 100 dB, or be inf for noiseless (got nan)"),
        ({"snr_db": -51.0}, "snr_db must lie between -50 and 100 dB, or be inf for noiseless (got -51)"),
        ({"snr_db": float("-inf")}, "snr_db must lie between -50 and 100 dB, or be inf for noiseless (got -inf)"),
        ({"loss": 1.5}, "loss must lie between 0 and 1 (got 1.5)"),
        ({"coherence": 0}, "coherence must lie between 1 and 81920 symbols (got 0)"),
        ({"doppler": 0.6}, "doppler must lie between 0 and 0.5 cycles a symbol (got 0.6)"),
        ({"delay_ms": -1.0}, "delay_ms must lie between 0 and 2000 ms (got -1)"),
        ({"delay_ms": 2001.0}, "delay_ms must lie between 0 and 2000 ms (got 2001)"),
        ({"k_factor_db": float("inf")}, "k_factor_db must lie between -50 and 100 dB (got inf)"),
        ({"csi": 0}, "csi 0 is unknown; set one of CSI_POLICY_NONE, CSI_POLICY_PERFECT, CSI_POLICY_NOISY"),
    ],
)
async def test_a_wrong_setting_is_refused_and_nothing_changes(
    start: Start, settings: dict[str, Any], line: str
) -> None:
    _, address = await start(links=LINKS)
    async with control(address) as stub:
        with pytest.raises(aio.AioRpcError) as refused:
            await update(stub, jitter_ms=3.0, **settings)
        after = (await stub.GetLink(pb.GetLinkRequest(**LEFT))).link
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details() == line
    assert (after.version, after.settings.jitter_ms) == (0, 0.0)


async def test_an_infinite_snr_is_noiseless(start: Start) -> None:
    _, address = await start(links=LINKS)
    async with control(address) as stub:
        assert (await update(stub, snr_db=float("inf"))).current_snr_db == float("inf")


async def test_an_unknown_link_is_named_beside_the_known_ones(start: Start) -> None:
    _, address = await start(links=LINKS)
    async with control(address) as stub:
        with pytest.raises(aio.AioRpcError) as refused:
            await stub.GetLink(pb.GetLinkRequest(rig="dmeo", view=types_pb2.VIEW_LEFT))
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
        assert refused.value.details() == "there is no link dmeo/left; known: demo/left, demo/right"
        with pytest.raises(aio.AioRpcError) as refused:
            await stub.ResetLink(pb.ResetLinkRequest(rig="demo"))
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_answer_names_no_more_links_than_a_header_holds(start: Start) -> None:
    """With a thousand of them gRPC would end the call for its own headers."""
    many = [{"rig": f"{'r' * 55}{number}", "view": "left"} for number in range(200)]
    _, address = await start(links=many, max_links=200)
    async with control(address) as stub:
        with pytest.raises(aio.AioRpcError) as refused:
            await stub.GetLink(pb.GetLinkRequest(rig="demo", view=types_pb2.VIEW_LEFT))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert (refused.value.details() or "").endswith(", and 192 more")


async def test_one_token_leaves_half_of_the_watches_to_others(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    anna = Caller(Principal("anna", Role.VIEWER), lambda _: None)
    monkeypatch.setattr(caller, "CALLER", SimpleNamespace(get=lambda _: anna))
    _, address = await start(links=LINKS)
    async with control(address) as stub:
        watches = [stub.WatchLinks(pb.WatchLinksRequest()) for _ in range(control_servicer.MOST_WATCHERS // 2)]
        for each in watches:
            await asyncio.wait_for(each.read(), 20)
        with pytest.raises(aio.AioRpcError) as refused:
            await asyncio.wait_for(stub.WatchLinks(pb.WatchLinksRequest()).read(), 20)
        assert refused.value.details() == "'anna' has 32 such calls already; end one of them"
        for each in watches:
            each.cancel()


async def test_however_many_watch_the_links_are_looked_at_once(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A viewer could take the core that carries the symbols: each look of each watcher went over all links twice."""
    looks = 0
    made = control_servicer.to_proto

    def count(*arguments: Any) -> pb.Link:
        nonlocal looks
        looks += 1
        return made(*arguments)

    emulator, address = await start(links=LINKS)
    monkeypatch.setattr(control_servicer, "to_proto", count)
    async with control(address) as stub:
        watches = [stub.WatchLinks(pb.WatchLinksRequest(rate=50)) for _ in range(control_servicer.MOST_WATCHERS)]
        for each in watches:
            await asyncio.wait_for(each.read(), 20)
        with pytest.raises(aio.AioRpcError) as refused:
            await asyncio.wait_for(stub.WatchLinks(pb.WatchLinksRequest()).read(), 20)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refused.value.details() == "64 clients watch links already; end one of them"
        looks, began = 0, time.monotonic()
        await asyncio.sleep(0.5)
        most = (time.monotonic() - began) * control_servicer.HIGHEST_RATE * len(LINKS)
        assert 0 < looks <= most + len(LINKS)
        for each in watches:
            each.cancel()
        await eventually(lambda: not emulator._control._watchers)
        again = stub.WatchLinks(pb.WatchLinksRequest())
        assert (await asyncio.wait_for(again.read(), 20)).link.rig == "demo"


async def test_a_watcher_sees_every_link_then_changes_at_once_then_the_end(start: Start) -> None:
    emulator, address = await start(links=LINKS)
    async with control(address) as stub, asyncio.timeout(5):
        watch = stub.WatchLinks(pb.WatchLinksRequest(rate=0.01))
        first = [(await watch.read()).link.view for _ in range(2)]
        assert first == [types_pb2.VIEW_LEFT, types_pb2.VIEW_RIGHT]
        await update(stub, snr_db=4.0)
        assert (await watch.read()).link.current_snr_db == 4.0
        async with Edge(address) as edge:
            await edge.hello()
            assert (await watch.read()).link.connected
        assert not (await watch.read()).link.connected
        await emulator.stop()
        assert await watch.read() is aio.EOF


async def test_moving_values_come_at_the_rate_that_was_asked_for(center: Center, start: Start) -> None:
    _, address = await start(links=LINKS, defaults={"loss": 0.0})
    async with control(address) as stub, Edge(address, view=View.RIGHT) as edge, asyncio.timeout(5):
        await edge.hello()
        watch = stub.WatchLinks(pb.WatchLinksRequest(rate=20))
        for _ in range(2):
            await watch.read()
        await edge.frame(picture(1))
        link = (await watch.read()).link
        assert (link.view, link.frames) == (types_pb2.VIEW_RIGHT, 1)


async def test_a_rate_that_makes_no_sense_is_refused(start: Start) -> None:
    _, address = await start(links=LINKS)
    async with control(address) as stub:
        with pytest.raises(aio.AioRpcError) as refused:
            await stub.WatchLinks(pb.WatchLinksRequest(rate=-1)).read()
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details() == "rate must lie between 0 and 50 a second (got -1)"
