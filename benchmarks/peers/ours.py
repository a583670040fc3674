"""The center as a peer is called: a pair goes in over two camera streams, its pictures come out at a watcher.

Cameras and watcher are those of `vergence bench load`. Unlike the peers the center gets each view alone and pairs them
itself, and it hands pictures to somebody who watches, not back to who sent: a call here holds all that.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from grpc import aio

from deploy.bench.load.frames import PreparedFrames
from deploy.bench.load.generator import LoadCamera, Sent
from deploy.bench.load.watcher import cpu_seconds
from deploy.bench.started import wait_until_ready
from deploy.local.process import ServiceProcess, stop_all
from deploy.local.stack import CONFIG, Ports
from wire.runtime import grpc_kit
from wire.v1 import pair_service_pb2 as pairs_pb2
from wire.v1.pair_service_pb2_grpc import PairServiceStub
from wire.views import View

_FRAME_RATE: Final = 10.0
"""That the cameras announce; pairing takes half a period as its tolerance."""


class OurCaller:
    """Rigs whose cameras are connected; each has one pair on its way at most.

    alone  instants that came out decoded with one view only
    """

    def __init__(self, address: str, prepared: PreparedFrames, rigs: int) -> None:
        self._address, self._prepared, self._rigs = address, prepared, rigs
        self._idle: asyncio.Queue[tuple[str, list[LoadCamera]]] = asyncio.Queue()
        self._cameras: list[LoadCamera] = []
        self._awaited: dict[str, tuple[int, asyncio.Future[None]]] = {}  # by rig: which sequence, and when it is here
        self._watching: asyncio.Task[None] | None = None
        self._sequence = self.alone = 0

    async def connect(self) -> None:
        """Let every camera say Hello. raises grpc.aio.AioRpcError if the center refuses one"""
        self._watching = asyncio.create_task(self._watch())
        sent = Sent()
        for number in range(self._rigs):
            rig = f"load-{number}"
            cameras = [LoadCamera(self._address, rig, view, self._prepared, _FRAME_RATE, sent) for view in View]
            self._cameras += cameras
            await asyncio.gather(*(camera.connect() for camera in cameras))
            self._idle.put_nowait((rig, cameras))

    async def __call__(self, request: bytes) -> bytes:
        """Send the next pair of the clip from a rig that is idle. request: is for peers; nothing is given back"""
        rig, cameras = await self._idle.get()
        try:
            self._sequence += 1
            shown = self.expect(rig, self._sequence)
            captured_at_ns = time.time_ns()
            for camera in cameras:
                camera.capture(self._sequence, captured_at_ns)
            await shown
        finally:
            self._idle.put_nowait((rig, cameras))
        return b""

    def expect(self, rig: str, sequence: int) -> asyncio.Future[None]:
        """Done when the pair of this sequence is here. It takes the place of one of this rig that was given up."""
        shown = asyncio.get_running_loop().create_future()
        self._awaited[rig] = sequence, shown
        return shown

    def note(self, pair: pairs_pb2.WatchPairsResponse) -> None:
        """A pair came. One that was given up, or the other half of one that came alone, is not the one that is awaited:
        it would make that one look younger than it is."""
        self.alone += pair.pairing != pairs_pb2.PAIRING_PAIRED
        sequence, shown = self._awaited.get(pair.rig, (0, None))
        if shown is not None and not shown.done() and any(view.sequence == sequence for view in pair.views):
            shown.set_result(None)

    async def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError, aio.AioRpcError):
                await self._watching
        await asyncio.gather(*(camera.close() for camera in self._cameras))

    async def _watch(self) -> None:
        async with grpc_kit.connect(self._address) as channel:
            async for pair in PairServiceStub(channel).WatchPairs(pairs_pb2.WatchPairsRequest()):
                self.note(pair)


@asynccontextmanager
async def serving(
    prepared: PreparedFrames, codec: str, threads: int, rigs: int, logs: Path
) -> AsyncIterator[tuple[OurCaller, Callable[[], float]]]:
    """A center of its own process that decodes with onnxruntime in 32-bit numbers.

    It is as it ships but for the age after which it drops a frame: peers drop nothing either.

    gives    what calls it, and the CPU seconds that it has used
    raises   UserError
    """
    ports = Ports.free()
    environment = {
        **ports.environment(),
        "VERGENCE_CENTER__EMULATOR": "''",  # an empty text in YAML
        "VERGENCE_CENTER__CODEC": codec,
        "VERGENCE_CENTER__ENGINE__KIND": "onnxruntime",
        "VERGENCE_CENTER__ENGINE__THREADS": str(threads),
        "VERGENCE_CENTER__LINKS__AGE_BUDGET_MS": "10000",
    }
    center = ServiceProcess("center", "center", CONFIG / "center.yaml", logs / "center.log", environment)
    center.start()
    pid = center.pid
    assert pid is not None
    try:
        address = f"{ports.host}:{ports.center}"
        await wait_until_ready(center, address)
        caller = OurCaller(address, prepared, rigs)
        try:
            await caller.connect()
            yield caller, lambda: cpu_seconds(pid)
        finally:
            await caller.close()
    finally:
        await asyncio.to_thread(stop_all, [center])
