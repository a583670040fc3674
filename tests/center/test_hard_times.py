"""A center that is flooded, stopped, or whose clock is set: one camera's trouble stays its own."""

import asyncio
import time
from contextlib import suppress
from typing import Any

import pytest
from grpc import aio

from center.ingest import link_servicer
from tests.center.conftest import Camera, frames, newest, wait_for_partners
from tests.waiting import eventually
from wire.contract.handshake import HelloReader
from wire.runtime.grpc_kit import STATUS_LOST, connect
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.views import View


async def test_a_sender_that_ignores_its_credit_is_cut_off(
    engine: Any, camera: Any, caplog: pytest.LogCaptureFixture
) -> None:
    engine.seconds = 0.2
    flood, calm = camera(View.LEFT, rig="flood"), camera(View.LEFT)
    await flood.connect()
    await calm.connect()
    with suppress(aio.AioRpcError, asyncio.InvalidStateError):  # the end may come while it still sends
        for sequence in range(1, 100):
            await flood.send(sequence)
    code, line = await flood.status()
    cut_off = "33 frames came without credit; wait for acknowledgements"
    assert (code, line) == ("RESOURCE_EXHAUSTED", cut_off) or line == STATUS_LOST
    assert f"rig flood: the left camera is cut off: {cut_off}" in caplog.text
    await calm.send(1)
    assert (await calm.answer()).outcome == link_pb2.OUTCOME_ACCEPTED


async def test_streams_without_a_hello_are_bounded(start_center: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_servicer, "HelloReader", lambda: HelloReader(most=3))
    center = await start_center()
    async with connect(f"127.0.0.1:{center.port}") as channel:
        await _one_of_four_is_refused([Camera(channel, View.LEFT, rig=f"mute-{number}") for number in range(4)])


async def _one_of_four_is_refused(mute: list[Camera]) -> None:
    ends = {asyncio.ensure_future(each.call.code()): each for each in mute}
    done, waiting = await asyncio.wait(ends, timeout=5, return_when=asyncio.FIRST_COMPLETED)
    (refused,) = done
    assert refused.result().name == "RESOURCE_EXHAUSTED"
    assert await ends[refused].call.details() == "3 streams have not said Hello yet; come back later"
    for each in mute:
        each.call.cancel()
    await asyncio.gather(*waiting)


async def test_too_many_stage_times_are_refused(camera: Any) -> None:
    left = camera(View.LEFT)
    await left.connect()
    await left.send(1, stages=[link_pb2.StageTime()] * 17)
    answer = await left.answer()
    assert (answer.outcome, answer.reason) == (link_pb2.OUTCOME_REJECTED, "shape")
    assert answer.detail == "17 stage times came; send at most 16"


async def test_a_frame_that_is_longer_than_its_symbols_is_refused(camera: Any) -> None:
    """It would wait in queues, and fill the ring of recordings, with 38 times the bytes of other cameras' frames."""
    left = camera(View.LEFT)
    await left.connect()
    await left.send(1, stages=[link_pb2.StageTime(stage="x" * 90_000)])
    answer = await left.answer()
    assert (answer.outcome, answer.reason) == (link_pb2.OUTCOME_REJECTED, "shape")
    assert answer.detail.endswith("bytes; one of a picture of 128x256 has at most 86016")


async def test_a_frame_that_would_unpack_to_too_much_ends_its_stream(camera: Any) -> None:
    """780,000 empty stage times in 1.6 MB took 100 ms to parse and were answered at once, again and again."""
    left = camera(View.LEFT)
    await left.connect()
    await left.send(1, stages=[link_pb2.StageTime()] * 700_000)
    code, line = await left.status()
    assert code == "INVALID_ARGUMENT"
    assert line.startswith("after the Hello every message must be a frame; ")


@pytest.mark.parametrize("step", [2.0, -2.0, 3600.0])
async def test_setting_the_host_s_clock_loses_no_pair(center: Any, camera: Any, step: float) -> None:
    wait_for_partners(center)
    left, right = camera(View.LEFT), camera(View.RIGHT)
    await left.connect()
    await right.connect()
    pairs = center.broadcaster.watch()
    for sequence in range(1, 7):
        if sequence == 3:
            center.clock._unix = lambda: time.time() + step
        if sequence == 5:
            center.clock._unix = time.time
        now = time.time()
        for each in (left, right):
            await each.send(sequence, captured_at=now)
        for each in (left, right):
            assert (await each.answer()).outcome == link_pb2.OUTCOME_ACCEPTED
        pair = await asyncio.wait_for(anext(pairs), 5)
        assert not pair.single
        assert pair.views[0].latency < 1.0
        told = pair.captured_at_ns / 1e9 - center.clock._unix()
        assert abs(told) < 1.0, "others are told by the clock that the host has now"


async def test_the_clock_s_offset_is_watched_while_frames_flow(center: Any, camera: Any) -> None:
    left = camera(View.LEFT)
    await left.connect()
    labels = {"rig": "lab", "view": "left"}
    offset = "vergence_center_clock_offset_seconds"
    await left.send(1, captured_at=time.time())
    await left.answer()
    assert abs(center.metrics.registry.get_sample_value(offset, labels)) < 0.5
    center.clock._unix = lambda: time.time() + 5.0
    await left.send(2, captured_at=time.time())
    await left.answer()
    assert center.metrics.registry.get_sample_value(offset, labels) == pytest.approx(5.0, abs=0.5)


async def test_a_pair_that_is_long_past_its_time_is_not_shown(engine: Any, center: Any, camera: Any) -> None:
    left = camera(View.LEFT)
    await left.connect()
    pairs = center.broadcaster.watch()
    engine.seconds = 1.2  # as if the machine had stood still
    await left.send(1, age_budget_ms=100)
    await left.answer()
    await eventually(lambda: frames(center, "dropped") == 1)
    engine.seconds = 0.0
    await left.send(2)
    assert (await asyncio.wait_for(anext(pairs), 5)).views[0].sequence == 2


async def test_a_partner_that_is_late_joins_the_view_that_still_waits(engine: Any, start_center: Any) -> None:
    center = await start_center(links={"age_budget_ms": 0})
    wait_for_partners(center)
    async with connect(f"127.0.0.1:{center.port}") as channel:
        left, right = Camera(channel, View.LEFT), Camera(channel, View.RIGHT)
        await left.connect()
        await right.connect()
        pairs = center.broadcaster.watch()
        engine.may.clear()
        now = time.time()
        for each in (left, right):
            await each.send(1, captured_at=now)
        for each in (left, right):
            await each.answer()  # both are in the decoder
        center.rigs.change_pairing(None, 0.03)
        await left.send(2, captured_at=now + 0.04)
        await eventually(lambda: newest(center) == [2])  # its patience is over; the decoder works on the first pair
        await right.send(2, captured_at=now + 0.04)
        await eventually(lambda: newest(center) == [2, 2])
        engine.may.set()
        seen = [await asyncio.wait_for(anext(pairs), 5) for _ in range(2)]
    assert [pair.single for pair in seen] == [False, False]
    assert center.status()["live_rigs"][0]["drops"] == {}


async def test_stopping_does_not_wait_for_a_decoder_that_hangs(engine: Any, start_center: Any) -> None:
    center = await start_center(drain_s=0.1)
    engine.may.clear()
    async with connect(f"127.0.0.1:{center.port}") as channel:
        left = Camera(channel, View.LEFT)
        await left.connect()
        await left.send(1)
        await left.answer()
        assert await center.stop() is False
    assert not engine.batches
    engine.may.set()
