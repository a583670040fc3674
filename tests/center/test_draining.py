"""A center that stops under load: whatever it has acknowledged is shown, and it ends within its bound."""

import asyncio
import time
from contextlib import suppress
from typing import Any

import pytest
from grpc import aio

from center.output.results import DecodedPair
from center.service import Center
from tests.center.conftest import Camera
from tests.waiting import eventually
from wire.runtime.grpc_kit import connect
from wire.v1 import pair_service_pb2 as pairs_pb2
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.v1.pair_service_pb2_grpc import PairServiceStub
from wire.views import View

RIGS = ("one", "two", "three")  # they are decoded in one batch, so that the last pairs come out at once


class Stream:
    """A camera that keeps its credit, sends at its own beat, and leaves when it is asked to, or never.

    acknowledged: sequences that the center accepted
    """

    def __init__(self, camera: Camera, polite: bool) -> None:
        self.acknowledged: set[int] = set()
        self._camera, self._polite = camera, polite
        self._credit = asyncio.Semaphore(0)
        self._draining = False

    async def run(self, began: float, period: float) -> None:
        """One frame each period from `began` (time.time) on; frames without credit are left out."""
        for _ in range((await self._camera.connect()).credit):
            self._credit.release()
        reader = asyncio.create_task(self._read())
        sequence = 0
        with suppress(aio.AioRpcError, asyncio.InvalidStateError):
            while not (self._draining and self._polite) and not reader.done():
                sequence += 1
                await asyncio.sleep(max(0.0, began + sequence * period - time.time()))
                if not self._credit.locked():
                    await self._credit.acquire()
                    await self._camera.send(sequence, captured_at=began + sequence * period)
            await self._camera.call.done_writing()
        await reader

    async def _read(self) -> None:
        with suppress(aio.AioRpcError, EOFError):
            while True:
                answer = await self._camera.read()
                self._draining |= answer.HasField("drain")
                if answer.HasField("acknowledgement"):
                    self._credit.release()
                    if answer.acknowledgement.outcome == link_pb2.OUTCOME_ACCEPTED:
                        self.acknowledged.add(answer.acknowledgement.sequence)


async def watch(channel: aio.Channel, shown: dict[tuple[str, View], set[int]]) -> None:
    call: Any = PairServiceStub(channel).WatchPairs(pairs_pb2.WatchPairsRequest(without_pictures=True))
    with suppress(aio.AioRpcError):
        async for pair in call:
            for result in pair.views:
                shown[pair.rig, View.from_proto(result.view)].add(result.sequence)


def note_published(center: Center) -> dict[tuple[str, View], set[int]]:
    """What is shown to whoever watches, from now on."""
    noted: dict[tuple[str, View], set[int]] = {(rig, view): set() for rig in RIGS for view in View}
    publish = center.broadcaster.publish

    def note(pair: DecodedPair) -> None:
        for result in pair.views:
            noted[pair.rig, result.view].add(result.sequence)
        publish(pair)

    center.broadcaster.publish = note  # type: ignore[method-assign]
    return noted


@pytest.mark.parametrize("polite", [True, False], ids=["cameras leave", "cameras stay"])
async def test_a_stop_under_load_loses_no_acknowledged_pair(engine: Any, start_center: Any, polite: bool) -> None:
    for beat in range(4):  # the moment of the stop falls differently into the beat each time
        center = await start_center(drain_s=0.5)
        engine.seconds = 0.03
        shown: dict[tuple[str, View], set[int]] = {(rig, view): set() for rig in RIGS for view in View}
        async with connect(f"127.0.0.1:{center.port}") as channel, connect(f"127.0.0.1:{center.port}") as other:
            watching = asyncio.create_task(watch(other, shown))
            published = note_published(center)
            streams = {of: Stream(Camera(channel, of[1], rig=of[0]), polite) for of in shown}
            began = time.time()
            sending = [asyncio.create_task(stream.run(began, 0.04)) for stream in streams.values()]
            await eventually(lambda: all(len(stream.acknowledged) >= 3 for stream in streams.values()))  # noqa: B023
            await asyncio.sleep(beat * 0.01)
            stopped = time.monotonic()
            assert await center.stop() is True
            assert time.monotonic() - stopped < 20.0, "drain_s for the cameras, drain_s for the decoder, what hangs"
            await asyncio.wait_for(asyncio.gather(watching, *sending), 10)
        for of, stream in streams.items():
            assert stream.acknowledged
            assert stream.acknowledged <= published[of]
            assert shown[of] <= published[of]
            assert max(published[of]) in shown[of], "a watcher may miss what a newer pair replaced, never the last one"


async def test_cameras_are_asked_to_leave_between_two_instants(engine: Any, start_center: Any) -> None:
    """The right view of each instant comes 50 ms after the left one; the stop comes between them."""
    center = await start_center(drain_s=2.0, pairing={"patience_ms": 500})
    period, gap = 0.2, 0.05
    async with connect(f"127.0.0.1:{center.port}") as channel:
        streams = {view: Stream(Camera(channel, view, rig="one", frame_rate=5.0), polite=True) for view in View}
        began = time.time()
        asked: dict[View, list[float]] = {view: [] for view in View}
        sent: dict[View, list[int]] = {view: [] for view in View}

        async def run(view: View) -> None:
            camera = streams[view]._camera
            await camera.connect()
            reader = asyncio.create_task(listen(view))
            sequence = 0
            while not asked[view]:
                sequence += 1
                captured_at = began + sequence * period
                await asyncio.sleep(max(0.0, captured_at + gap * view.position - time.time()))
                if asked[view]:
                    break
                await camera.send(sequence, captured_at=captured_at)
                sent[view].append(sequence)
            await camera.call.done_writing()
            await reader

        async def listen(view: View) -> None:
            with suppress(aio.AioRpcError, EOFError):
                while True:
                    if (await streams[view]._camera.read()).HasField("drain"):
                        asked[view].append(time.monotonic())

        sending = [asyncio.create_task(run(view)) for view in View]
        while len(sent[View.LEFT]) <= len(sent[View.RIGHT]) or len(sent[View.RIGHT]) < 4:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        assert await center.stop() is True
        await asyncio.wait_for(asyncio.gather(*sending), 10)
    assert sent[View.LEFT] == sent[View.RIGHT]
    assert asked[View.LEFT]
    assert asked[View.RIGHT]


async def test_a_rig_without_a_moment_between_is_asked_all_the_same(start_center: Any) -> None:
    center = await start_center(drain_s=1.0)
    async with connect(f"127.0.0.1:{center.port}") as channel:
        left, right = Camera(channel, View.LEFT), Camera(channel, View.RIGHT)
        await left.connect()
        await right.connect()
        await left.send(1)
        stopping = asyncio.create_task(center.stop())
        for camera in (left, right):  # which never sends
            while not (await camera.read()).HasField("drain"):
                pass
            await camera.call.done_writing()
        assert await stopping is True
