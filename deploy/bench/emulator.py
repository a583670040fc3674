"""What the emulator adds to a frame: `python -m deploy.bench.emulator [--frames N] [--json FILE]`.

Center, emulator and edge run as three processes on loopback. The edge sends a 40 KB frame and waits for its
acknowledgement, directly to the center and through one link of each model, in turns, so that a busy machine
slows all alike. The channel's own time is measured in this process, over the same frames.
"""

import argparse
import asyncio
import sys
import time
from contextlib import AsyncExitStack
from multiprocessing.connection import Connection
from typing import Any, Final

import numpy as np

from channel_emulator.config import EmulatorConfig, LinkSection
from channel_emulator.emulator import Emulator
from channel_emulator.links.registry import Links
from channel_emulator.relay.frames import process_frame
from deploy.bench.arguments import count, output_file
from deploy.bench.load.watcher import cpu_seconds
from deploy.bench.loopback import Center, Edge, picture
from deploy.bench.result_file import measured_here, store
from deploy.bench.started import serving
from wire.contract.link_settings import Model
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.views import View

TURN: Final = 25
BUDGET_MS: Final = 1.0
LINKS: Final = (
    LinkSection(rig="clean", view=View.LEFT, model=Model.CLEAN),
    LinkSection(rig="awgn", view=View.LEFT, model=Model.AWGN),
    LinkSection(rig="rayleigh-fast", view=View.LEFT, model=Model.RAYLEIGH, coherence=1),
    LinkSection(rig="jakes", view=View.LEFT, model=Model.JAKES, doppler=0.001),
)


async def serve_center(ready: Connection) -> None:
    """Until it is ended; sends its address."""
    ready.send(await Center(keep=False).start())
    await asyncio.Event().wait()


async def serve_emulator(ready: Connection, upstream: str) -> None:
    """Likewise. upstream: address of the center"""
    emulator = Emulator(EmulatorConfig(listen="127.0.0.1:0", upstream=upstream, links=LINKS))
    ready.send(f"127.0.0.1:{await emulator.start()}")
    await asyncio.Event().wait()


async def round_trips(center: str, emulator: str, frames: int) -> dict[str, list[float]]:
    """Seconds from frame to acknowledgement, for "direct" and for each link."""
    async with AsyncExitStack() as stack:
        edges = {"direct": await stack.enter_async_context(Edge(center, rig="direct"))}
        for link in LINKS:
            edges[link.rig] = await stack.enter_async_context(Edge(emulator, rig=link.rig))
        for edge in edges.values():
            await edge.hello()
        seconds: dict[str, list[float]] = {name: [] for name in edges}
        for first in range(1, frames + 1, TURN):
            for name, edge in edges.items():
                for sequence in range(first, first + TURN):
                    frame = picture(sequence)
                    began = time.perf_counter()
                    answer = await edge.frame(frame)
                    seconds[name].append(time.perf_counter() - began)
                    assert answer.outcome == link_pb2.OUTCOME_ACCEPTED
    return seconds


async def cpu_times(emulator: str, pid: int, frames: int) -> dict[str, float]:
    """CPU seconds of the emulator's process for one frame of each link, and its answer: gRPC and all (Linux)."""
    seconds: dict[str, float] = {}
    for link in LINKS:
        async with Edge(emulator, rig=link.rig) as edge:
            await edge.hello()
            before = cpu_seconds(pid)
            for sequence in range(1, frames + 1):
                await edge.frame(picture(sequence))
            seconds[link.rig] = (cpu_seconds(pid) - before) / frames
    return seconds


def own_times(frames: int) -> dict[str, list[float]]:
    """Seconds in the channel alone: bytes to symbols, check, fade, noise, bytes."""
    links = Links(EmulatorConfig(links=LINKS), now=0.0)
    seconds: dict[str, list[float]] = {}
    for name in [link.rig for link in LINKS]:
        link = links.candidate(name, View.LEFT, now=0.0)
        seconds[name] = []
        for sequence in range(1, frames + 1):
            frame = picture(sequence)
            began = time.perf_counter()
            process_frame(link, frame, now=0.0)
            seconds[name].append(time.perf_counter() - began)
    return seconds


def milliseconds(seconds: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(seconds, [50.0, 99.0]) * 1e3
    return {"p50_ms": round(float(p50), 3), "p99_ms": round(float(p99), 3)}


def measure(frames: int) -> dict[str, Any]:
    own = own_times(frames)
    with serving(serve_center) as (_, center), serving(serve_emulator, center) as (pid, emulator):
        trips = asyncio.run(round_trips(center, emulator, frames))
        cpu = asyncio.run(cpu_times(emulator, pid, frames))
    direct = milliseconds(trips.pop("direct"))
    links = {
        name: {"own": milliseconds(own[name]), "round_trip": through}
        | {"added_p50_ms": round(through["p50_ms"] - direct["p50_ms"], 3), "cpu_ms": round(cpu[name] * 1e3, 3)}
        for name, through in ((name, milliseconds(seconds)) for name, seconds in trips.items())
    }
    return measured_here({"frames": frames, "direct": direct, "links": links})


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.bench.emulator", description=__doc__)
    parser.add_argument("--frames", type=count, default=500, help="per link (default 500)")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="store the result")
    parsed = parser.parse_args(arguments)
    result = measure(parsed.frames)
    head = f"{'link':<14} {'own p50':>9} {'round trip p50':>15} {'p99':>7} {'added p50':>10} {'CPU a frame':>12}"
    print(f"{head}   milliseconds")
    print(f"{'direct':<14} {'':>9} {result['direct']['p50_ms']:>15.3f} {result['direct']['p99_ms']:>7.2f}")
    for name, link in result["links"].items():
        trip, over = link["round_trip"], link["added_p50_ms"] > BUDGET_MS
        row = f"{name:<14} {link['own']['p50_ms']:>9.3f} {trip['p50_ms']:>15.3f} {trip['p99_ms']:>7.2f}"
        print(f"{row} {link['added_p50_ms']:>10.3f} {link['cpu_ms']:>12.3f}   {'over budget' if over else ''}")
    if parsed.json:
        store(parsed.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
