"""What mutual TLS and tokens cost, frame by frame beside plain text.

The same frames go over one hop, plain and locked in turn, so that whatever else the machine does meets both alike. Both
ends are in this process: times and CPU are those of sender and receiver together.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from deploy.bench.arguments import count, output_file, positive
from deploy.bench.loopback import Center, Edge, picture
from deploy.bench.result_file import measured_here, store
from deploy.local.demo import temporary_certs
from deploy.local.secured import Parties
from wire.runtime.errors import UserError

_WARM_UP: Final = 50
_PREPARED: Final = 16
_BLOCK: Final = 8
"""Frames that follow each other over one door before the other one has its turn; CPU is told for a block."""


@dataclass
class Door:
    """One way in. seconds: from a frame to its acknowledgement; cpu: seconds of a block, a frame; connects: seconds."""

    name: str
    parties: Parties
    address: str = ""
    edge: Edge | None = None
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    connects: list[float] = field(default_factory=list)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--frames", type=count, default=4_000, help="over each door (default %(default)s)")
    parser.add_argument("--connections", type=count, default=50, help="to each door (default %(default)s)")
    parser.add_argument("--decoder-ms", type=positive, default=52.6, help="CPU that a pair costs (default %(default)s)")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="store the figures")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    if arguments.frames < _BLOCK:
        raise UserError(f"--frames must be at least {_BLOCK}")
    with tempfile.TemporaryDirectory(prefix="vergence-doors-") as folder:
        doors = [Door("plain", Parties(None)), Door("locked", Parties(temporary_certs(Path(folder))))]
        asyncio.run(measure(doors, arguments.frames, arguments.connections))
    result = summary(doors, arguments.decoder_ms)
    report(result)
    if arguments.json is not None:
        store(arguments.json, measured_here(result))
    return 0


async def measure(doors: list[Door], frames: int, connections: int) -> None:
    """Fill in the figures of every door."""
    prepared = [picture(sequence) for sequence in range(1, _PREPARED + 1)]
    async with AsyncExitStack() as opened:
        for door in doors:
            center = Center(keep=False, keys=door.parties.keys("center"))
            door.address = await center.start()
            opened.push_async_callback(center.stop)
            door.edge = await opened.enter_async_context(Edge(door.address, keys=door.parties.keys("demo-left")))
            await door.edge.hello()
        sequence = 0
        for block in range(-(_WARM_UP // _BLOCK), frames // _BLOCK):
            for door in doors if block % 2 else reversed(doors):
                assert door.edge is not None
                cpu = time.process_time()
                for _ in range(_BLOCK):
                    sequence += 1
                    frame = prepared[sequence % _PREPARED]
                    frame.sequence = sequence
                    began = time.perf_counter()
                    await door.edge.frame(frame)
                    if block >= 0:
                        door.seconds.append(time.perf_counter() - began)
                if block >= 0:
                    door.cpu.append((time.process_time() - cpu) / _BLOCK)
        for _ in range(connections):
            for door in doors:
                began = time.perf_counter()
                async with Edge(door.address, keys=door.parties.keys("demo-left")) as edge:
                    await edge.hello()
                    door.connects.append(time.perf_counter() - began)


def summary(doors: list[Door], decoder_ms: float) -> dict[str, Any]:
    """Medians, and what the difference is for a pair: two frames, one hop."""
    told: dict[str, Any] = {
        door.name: {
            "frame_ms": statistics.median(door.seconds) * 1e3,
            "cpu_ms": statistics.median(door.cpu) * 1e3,
            "connect_ms": statistics.median(door.connects) * 1e3,
            "frames": len(door.seconds),
        }
        for door in doors
    }
    more = told["locked"]["cpu_ms"] - told["plain"]["cpu_ms"]
    return {
        **told,
        "more_p50_ms": told["locked"]["frame_ms"] - told["plain"]["frame_ms"],
        "more_cpu_ms_per_pair": 2 * more,
        "share_of_pairs": 2 * more / (2 * more + decoder_ms),
    }


def report(result: dict[str, Any]) -> None:
    for name in ("plain", "locked"):
        each = result[name]
        print(
            f"{name:>6}: p50 of a frame and its answer {each['frame_ms']:.3f} ms, CPU of both ends"
            f" {each['cpu_ms']:.3f} ms, connection and Hello {each['connect_ms']:.1f} ms ({each['frames']} frames)"
        )
    more, pair = result["more_p50_ms"], result["more_cpu_ms_per_pair"]
    print(f"locked costs {more:+.3f} ms p50 a frame and hop, {pair:+.3f} ms CPU a pair and hop")
    print(f"of a decoder's pairs a second, on the same cores: {result['share_of_pairs']:.1%}")
