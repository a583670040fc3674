"""CPU time of one picture or pair in each tier: `python -m benchmarks.scaling.measure --json FILE`.

CPU time and not time on the clock, so that other work on the machine counts little; minima or sums of many, one thread.
Each service runs in a process of its own and speaks real gRPC; the engine in front of the center paints nothing.
"""

import argparse
import asyncio
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from center.config import CenterConfig
from center.decode import engines
from center.decode.engines import Batch
from center.service import Center
from deploy.bench import loopback
from deploy.bench.arguments import output_file, positive
from deploy.bench.emulator import serve_center, serve_emulator
from deploy.bench.live import resident
from deploy.bench.load.frames import PreparedFrames
from deploy.bench.load.generator import LoadCamera, Sent
from deploy.bench.load.watcher import Seen, cpu_seconds, watch
from deploy.bench.offline import load_pairs
from deploy.bench.result_file import measured_here, store
from deploy.bench.started import serving
from deploy.local.stack import FOOTAGE
from edge.encode.encoder import Encoder
from wire import codec
from wire.geometry import CHANNELS, HEIGHT, WIDTH
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.views import View

RATE: Final = 40.0
"""Pairs a second while a service is measured: well below what it can."""

_SETTLE: Final = 1.0
_LINKS: Final = {"awgn": "awgn", "rayleigh": "rayleigh-fast"}
"""By what they are called in the result: links of the emulator's own benchmark."""


class NoEngine:
    """Takes no time, so that the front's own shows; gives grey pictures."""

    name = "none"

    def __init__(self) -> None:
        self.codec_hash = codec.load_onnx(codec.DEFAULT, "decoder", 1).codec_hash
        self._pictures = np.full((32, 2, CHANNELS, HEIGHT, WIDTH), 0.5, np.float32)

    def decode(self, batch: Batch) -> NDArray[np.float32]:
        return self._pictures[: len(batch)]


async def _center(ready: Connection) -> None:
    values = {"listen": "127.0.0.1:0", "emulator": "", "page": {"port": 0}, "links": {"max_rigs": 1024}}
    center = Center(CenterConfig.model_validate(values), NoEngine())
    await center.start()
    ready.send(f"127.0.0.1:{center.port}")
    await asyncio.Event().wait()


def of_calls(call: Callable[[], object], calls: int) -> float:
    """CPU seconds of one call, the least of many: what else ran on the core only adds."""
    call()
    least = float("inf")
    for _ in range(calls):
        began = time.process_time()
        call()
        least = min(least, time.process_time() - began)
    return least


def of_engine(kind: engines.Kind, calls: int) -> float:
    """CPU seconds of a pair on one core, as in each of the two lanes of a busy center."""
    engine = engines.load(codec.DEFAULT, kind, "cpu", 1)
    return of_calls(lambda: engine.decode(Batch.noise(1)), calls)


async def of_front(address: str, pid: int, seconds: float, watched: bool) -> float:
    """CPU seconds of the center for a pair of one rig, without its decoder."""
    prepared, sent = PreparedFrames.make(codec.DEFAULT, 10.0, "f16"), Sent()
    watching = asyncio.create_task(watch(address, Seen())) if watched else None
    cameras = [LoadCamera(address, f"rig-{watched}", view, prepared, RATE, sent) for view in View]
    await asyncio.gather(*(camera.connect() for camera in cameras))
    before, began, pairs = 0.0, time.monotonic(), 0
    for number in range(1, round((_SETTLE + seconds) * RATE)):
        await asyncio.sleep(began + number / RATE - time.monotonic())
        if number == round(_SETTLE * RATE):
            before, pairs = cpu_seconds(pid), -number
        for camera in cameras:
            camera.capture(number, time.time_ns())
    await asyncio.sleep(_SETTLE)
    spent = cpu_seconds(pid) - before
    for camera in cameras:
        await camera.close()
    if watching is not None:
        watching.cancel()
    return spent / (pairs + round((_SETTLE + seconds) * RATE))


async def of_rigs(address: str, pid: int, rigs: int) -> float:
    """Bytes that a connected rig holds at the center while it sends nothing."""
    prepared, sent, before = PreparedFrames.make(codec.DEFAULT, 10.0, "f16"), Sent(), resident(pid)
    cameras = []
    for rig in range(rigs):
        pair = [LoadCamera(address, f"idle-{rig}", view, prepared, 1.0, sent) for view in View]
        await asyncio.gather(*(camera.connect() for camera in pair))
        cameras += pair
    await asyncio.sleep(_SETTLE)
    held = (resident(pid) - before) / rigs
    for camera in cameras:
        await camera.close()
    return held


async def of_emulator(address: str, pid: int, rig: str, frames: int) -> float:
    """CPU seconds of the emulator for a frame over one link, gRPC on both sides included."""
    picture = loopback.picture(1)
    async with loopback.Edge(address, rig=rig) as edge:
        await edge.hello()
        before = 0.0
        for sequence in range(1, frames + 101):
            if sequence == 101:
                before = cpu_seconds(pid)
            picture.sequence = sequence
            answer = await edge.frame(picture)
            assert answer.outcome == link_pb2.OUTCOME_ACCEPTED
        return (cpu_seconds(pid) - before) / frames


async def of_uplink(address: str, frames: int) -> float:
    """CPU seconds of a camera's process for sending one frame that is encoded."""
    picture = loopback.picture(1)
    async with loopback.Edge(address, rig="uplink") as edge:
        await edge.hello()
        began = time.process_time()
        for sequence in range(1, frames + 1):
            picture.sequence = sequence
            await edge.frame(picture)
        return (time.process_time() - began) / frames


def measure(seconds: float) -> dict[str, Any]:
    """Everything; seconds: of each load"""
    calls, frames = max(3, round(1.5 * seconds)), max(50, round(50 * seconds))
    encoder, pictures = Encoder(codec.DEFAULT, 1), np.rint(load_pairs(FOOTAGE)[0, 0] * 255).astype(np.uint8)
    picture = np.ascontiguousarray(pictures.transpose(1, 2, 0))
    costs: dict[str, Any] = {
        "encode_s": of_calls(lambda: encoder.encode(picture, 10.0), calls),
        "engine_s": {kind: of_engine(kind, calls) for kind in ("onnxruntime", "onnxruntime-i8")},
    }
    with serving(serve_center) as (_, sink):
        costs["uplink_s"] = asyncio.run(of_uplink(sink, frames))
        with serving(serve_emulator, sink) as (pid, address):
            costs["emulator_s"] = {
                told: asyncio.run(of_emulator(address, pid, rig, frames)) for told, rig in _LINKS.items()
            }
    with serving(_center) as (pid, address):
        alone, watched = (asyncio.run(of_front(address, pid, seconds, watched)) for watched in (False, True))
        costs["front_s"], costs["watcher_s"] = alone, max(0.0, watched - alone)
        costs["idle_rig_bytes"] = asyncio.run(of_rigs(address, pid, 100))
    return measured_here({"costs": costs})


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling.measure", description=__doc__)
    parser.add_argument("--seconds", type=positive, default=10.0, help="of each load (default %(default)s)")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="store it; default: print only")
    asked = parser.parse_args()
    result = measure(asked.seconds)
    print(result)
    if asked.json is not None:
        store(asked.json, result)


if __name__ == "__main__":
    main()
