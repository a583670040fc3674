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
    call: Any = PairServiceStub(channel).WatchPairs(pairs_pb2.WatchPairsRequest())
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
            await asyncio.sleep(0.5 + beat * 0.01)
            stopped = time.monotonic()
            assert await center.stop() is True
            assert time.monotonic() - stopped < 4.0, "drain_s for the cameras, drain_s for the decoder, what hangs"
            await asyncio.wait_for(asyncio.gather(watching, *sending), 10)
        for of, stream in streams.items():
            assert stream.acknowledged
            assert stream.acknowledged <= published[of]
            assert shown[of] <= published[of]
            assert max(published[of]) in shown[of], "a watcher may miss what a newer pair replaced, never the last one"
