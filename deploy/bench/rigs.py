"""What one pair costs the center by how many rigs it serves: `python -m deploy.bench.rigs [--rigs 1 64 1000]`.

A center with a decoder that only takes time, in a process of its own, and cameras over real gRPC in this one, each on a
connection of its own. All rigs together send the same number of pairs a second, so that CPU time a pair can be
compared; the first pairs do not count: caches and first allocations are paid by then. Rigs that are connected and send
nothing tell what an idle one holds.
"""

import argparse
import asyncio
import gc
import sys
import time
from multiprocessing.connection import Connection
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from center.config import CenterConfig
from center.decode.engines import Batch
from center.service import Center
from deploy.bench.arguments import at_least, count, output_file, positive
from deploy.bench.live import resident
from deploy.bench.load.frames import PreparedFrames
from deploy.bench.load.generator import LoadCamera, Sent
from deploy.bench.load.watcher import cpu_seconds
from deploy.bench.result_file import measured_here, store
from deploy.bench.started import serving
from wire.contract.arrays import pack_complex
from wire.geometry import CHANNELS, HEIGHT, SYMBOLS, WIDTH
from wire.v1 import types_pb2
from wire.views import View

CODEC_HASH: Final = "00000000000000ff"
_AT_ONCE: Final = 64
"""Rigs that connect at once."""
_IDLE_SECONDS: Final = 3.0
"""For which nobody sends, so that what time alone costs is known."""


class SleepingEngine:
    """Takes a fixed time and none of the CPU; gives grey pictures. seconds: of a batch of any size."""

    name, codec_hash = "asleep", CODEC_HASH

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._pictures = np.full((32, 2, CHANNELS, HEIGHT, WIDTH), 0.5, np.float32)

    def decode(self, batch: Batch) -> NDArray[np.float32]:
        time.sleep(self.seconds)
        return self._pictures[: len(batch)]


async def serve_center(ready: Connection, seconds: float, most: int) -> None:
    """A center until it is ended; it sends its port. seconds: that its decoder takes; most: rigs"""
    values: dict[str, Any] = {
        "listen": "127.0.0.1:0",
        "emulator": "",
        "page": {"port": 0},
        "batching": {"max_size": 1, "queue": max(64, most)},
        "links": {"max_rigs": max(64, most), "idle_s": 600.0},
    }
    center = Center(CenterConfig.model_validate(values), SleepingEngine(seconds))
    await center.start()
    ready.send(center.port)
    await asyncio.Event().wait()


def noise_frames() -> PreparedFrames:
    """Frames of noise; no codec is needed to make them."""
    rng = np.random.default_rng(0)
    symbols = (rng.standard_normal((2, SYMBOLS)) + 1j * rng.standard_normal((2, SYMBOLS))).astype(np.complex64) / 2**0.5
    arrays = {view: [pack_complex(symbols[view.position], "f16")] for view in View}
    return PreparedFrames(arrays, types_pb2.ChannelState(snr_db=10.0, noise_variance=0.1), 10.0, CODEC_HASH)


async def load(pid: int, port: int, rigs: int, rate: float, seconds: float) -> dict[str, Any]:
    """Connect, look at the memory, send; figures of the center's process."""
    sent, frames, before = Sent(), noise_frames(), resident(pid)
    pairs: list[tuple[LoadCamera, ...]] = []
    try:
        for start in range(0, rigs, _AT_ONCE):  # each opens its stream when it is made
            pairs += (
                tuple(LoadCamera(f"127.0.0.1:{port}", f"rig-{rig}", view, frames, rate / rigs, sent) for view in View)
                for rig in range(start, min(start + _AT_ONCE, rigs))
            )
            await asyncio.gather(*(camera.connect() for pair in pairs[start:] for camera in pair))
        await asyncio.sleep(1.0)
        connected = resident(pid)
        idle = cpu_seconds(pid)
        await asyncio.sleep(_IDLE_SECONDS)
        idle = (cpu_seconds(pid) - idle) / _IDLE_SECONDS
        warm = min(rigs, round(rate * seconds))
        began = time.monotonic()
        for number in range(warm + round(rate * seconds)):
            if number == warm:
                used, answered, accepted = cpu_seconds(pid), sent.outcomes.total(), sent.outcomes["accepted"]
            await asyncio.sleep(began + number / rate - time.monotonic())
            now = time.time_ns()
            for camera in pairs[number % rigs]:
                camera.capture(1 + number // rigs, now)
        await asyncio.sleep(0.5)
        pairs_in = (sent.outcomes.total() - answered) / 2
        return {
            "rigs": rigs,
            "pairs": pairs_in,
            "decoded": (sent.outcomes["accepted"] - accepted) / 2,
            "cpu_ms_per_pair": (cpu_seconds(pid) - used) / pairs_in * 1e3,
            "idle_cpu": idle,
            "idle_kb_per_rig": (connected - before) / rigs / 1024,
            "active_kb_per_rig": (resident(pid) - before) / rigs / 1024,
            "held_back": sent.held_back,
        }
    finally:
        await asyncio.gather(*(camera.close() for pair in pairs for camera in pair))
        gc.collect()


def measure(rigs: int, rate: float, seconds: float, decode_ms: float) -> dict[str, Any]:
    """One center, one number of rigs."""
    with serving(serve_center, decode_ms / 1e3, rigs) as (pid, port):
        return asyncio.run(load(pid, port, rigs, rate, seconds))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.bench.rigs", description=__doc__)
    parser.add_argument("--rigs", type=count, nargs="+", default=[1, 64, 1_000], help="default 1 64 1000")
    parser.add_argument("--rate", type=positive, default=60.0, help="pairs a second of all rigs together (default 60)")
    parser.add_argument("--seconds", type=positive, default=17.0, help="how long it counts (default 17)")
    parser.add_argument("--decode-ms", type=at_least(0), default=5.0, help="what the decoder takes, asleep (default 5)")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="store the result")
    parsed = parser.parse_args(arguments)
    rows = [measure(rigs, parsed.rate, parsed.seconds, parsed.decode_ms) for rigs in parsed.rigs]
    print(f"{'rigs':>5} {'pairs':>6} {'decoded':>8} {'CPU a pair':>10}  {'ratio':>6} {'idle CPU':>9}  kB: idle, active")
    for row in rows:
        ratio = row["cpu_ms_per_pair"] / rows[0]["cpu_ms_per_pair"]
        print(
            f"{row['rigs']:>5} {row['pairs']:>6.0f} {row['decoded']:>8.0f} {row['cpu_ms_per_pair']:>8.2f} ms"
            f" {ratio:>6.2f} {row['idle_cpu']:>9.1%} {row['idle_kb_per_rig']:>13.0f} · {row['active_kb_per_rig']:.0f}"
        )
    print("CPU a pair that was answered, decoded or not")
    if parsed.json:
        store(parsed.json, measured_here({"rate": parsed.rate, "rows": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
