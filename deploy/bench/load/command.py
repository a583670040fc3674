"""Load on a center, open loop, through its own gRPC door.

Cameras send pictures that were encoded before, each over a connection of its own, at their own beat whatever the
center does. A watcher takes every pair with its pictures over WatchPairs. The decoder alone is timed in the same run,
one pair after the other and at the beat of the load.
Center and cameras share this machine's cores, so the figures are for both together.
"""

import argparse
import asyncio
import dataclasses
import json
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from deploy.bench.arguments import chart_file, count, natural, output_file, positive
from deploy.bench.load.bare import load_and_measure
from deploy.bench.load.frames import PreparedFrames
from deploy.bench.load.generator import PLAIN, send_load
from deploy.bench.load.report import draw, report
from deploy.bench.load.watcher import STAGES, Counters, Seen, Usage, quantile, sample_usage, watch
from deploy.bench.result_file import measured_here, store
from deploy.bench.started import wait_until_ready
from deploy.local.demo import CLIP_SIZE, temporary_certs, to_be_had
from deploy.local.process import ServiceProcess, stop_all
from deploy.local.secured import Parties
from deploy.local.stack import CONFIG, Ports
from wire import codec
from wire.geometry import DEFAULT_SIZE
from wire.runtime import direct

_SHARES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_DELIVERED: Final = 0.99
"""The share of pairs that must come out, paired, for a rate to count as held."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rigs", type=count, default=1, help="rigs, two cameras each (default %(default)s)")
    parser.add_argument("--rate", type=positive, default=10.0, help="pairs a second of each rig (default %(default)s)")
    parser.add_argument("--seconds", type=positive, default=20.0, help="how long to send (default %(default)s)")
    parser.add_argument("--snr", type=float, default=10.0, help="SNR of both links in dB (default %(default)s)")
    parser.add_argument("--sample-type", choices=("f32", "f16", "i8"), default="f32", help="default %(default)s")
    sizes = f"of pictures, at most {CLIP_SIZE} (default %(default)s)"
    parser.add_argument("--size", default=str(DEFAULT_SIZE), metavar="RxC", help=sizes)
    parser.add_argument("--codec", default=codec.DEFAULT, help="shipped name or folder (default %(default)s)")
    parser.add_argument("--engine", default="auto", help="engine.kind of both (default %(default)s)")
    parser.add_argument("--threads", type=natural, default=2, help="of the decoder (default %(default)s)")
    parser.add_argument("--goal-ms", type=positive, help="find the highest rate whose p99 age stays below this")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="further environment of the center")
    parser.add_argument("--secure", action="store_true", help="mutual TLS and tokens")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="store every figure")
    parser.add_argument("--chart", type=chart_file, metavar="FILE", help="draw them (needs matplotlib)")


def run(arguments: argparse.Namespace) -> int:
    """Start a center, load it, print the tables; 1 if a goal was given and no rate holds it."""
    size = to_be_had(arguments.size)
    prepared = PreparedFrames.make(arguments.codec, arguments.snr, arguments.sample_type, size=size)
    period = 1.0 / (arguments.rigs * arguments.rate)
    bare = load_and_measure(arguments.codec, arguments.engine, arguments.threads, period, size)
    arguments.engine = bare.kind  # the center is to decode with what was timed alone
    if arguments.goal_ms is None:
        results = [measure(arguments, prepared, arguments.rate)]
        found = True
    else:
        results, found = search(arguments, prepared)
    for result in results:
        report(result, bare)
    if arguments.json is not None:
        decoder = {"engine": bare.name, "seconds": bare.seconds, "pairs_per_second": bare.pairs_per_second}
        store(arguments.json, measured_here({"bare": decoder | {"at_beat": bare.at_beat}, "runs": results}))
    if arguments.chart is not None:
        draw(results, bare.seconds[1] * 1e3, arguments.chart)
    return 0 if found else 1


def search(arguments: argparse.Namespace, prepared: PreparedFrames) -> tuple[list[dict[str, Any]], bool]:
    """Bisect the rate of each rig; every run counts. returns the runs, and whether one of them kept the goal"""
    low, high = 0.0, arguments.rate
    results: list[dict[str, Any]] = []
    for _ in range(6):
        rate = high if not results else (low + high) / 2
        results.append(measure(arguments, prepared, rate))
        if keeps(results[-1], arguments.goal_ms):
            low = rate
            if rate == high:
                break
        else:
            high = rate
        print(f"{rate:.2f} pairs/s a rig: {'held' if low == rate else 'not held'}", file=sys.stderr)
    print(f"highest rate with p99 below {arguments.goal_ms:g} ms: {low * arguments.rigs:.1f} pairs/s\n")
    return results, low > 0.0


def keeps(result: dict[str, Any], goal_ms: float) -> bool:
    """Whether nearly all pairs came to who watches, together and in time: those that it missed have no age."""
    in_time: bool = result["age_ms"]["p99"] <= goal_ms
    return in_time and result["seen_paired"] >= _DELIVERED * result["offered_pairs"]


def measure(arguments: argparse.Namespace, prepared: PreparedFrames, rate: float) -> dict[str, Any]:
    """One run at one rate, against a fresh center."""
    ports = Ports.free()
    environment = {
        **ports.environment(),
        "VERGENCE_CENTER__EMULATOR": "''",  # an empty text in YAML
        "VERGENCE_CENTER__CODEC": arguments.codec,
        "VERGENCE_CENTER__ENGINE__KIND": arguments.engine,
        "VERGENCE_CENTER__ENGINE__THREADS": str(arguments.threads),
        "VERGENCE_CENTER__LINKS__MAX_RIGS": str(max(64, arguments.rigs * prepared.size.weight)),
        **dict(each.split("=", 1) for each in arguments.set),
    }
    with tempfile.TemporaryDirectory(prefix="vergence-load-") as logs:
        parties = PLAIN
        if arguments.secure:
            rigs = [f"load-{rig}" for rig in range(arguments.rigs)]
            parties = Parties(temporary_certs(Path(logs), rigs))
            environment |= parties.environment("center", "center")
        center = ServiceProcess("center", "center", CONFIG / "center.yaml", Path(logs) / "center.log", environment)
        center.start()
        try:
            return asyncio.run(_measure(arguments, prepared, rate, ports, center, parties))
        finally:
            stop_all([center])


async def _measure(
    arguments: argparse.Namespace,
    prepared: PreparedFrames,
    rate: float,
    ports: Ports,
    center: ServiceProcess,
    parties: Parties,
) -> dict[str, Any]:
    address, metrics_url = f"{ports.host}:{ports.center}", f"{ports.page_url}/metrics"
    viewer, headers = parties.keys("viewer"), parties.bearer("metrics")
    await wait_until_ready(center, address, keys=viewer)
    seen, usage = Seen(), Usage()
    assert center.pid is not None
    before = await asyncio.to_thread(Counters.read, metrics_url, headers)
    beside = [asyncio.create_task(watch(address, seen, viewer)), asyncio.create_task(sample_usage(center.pid, usage))]
    generator_cpu = time.process_time()
    try:
        sent = await send_load(address, prepared, arguments.rigs, rate, arguments.seconds, parties)
        generator_cpu = time.process_time() - generator_cpu
        counted = (await asyncio.to_thread(Counters.read, metrics_url, headers)).since(before)
        told = await asyncio.to_thread(read_status, ports.page_url, parties.bearer("viewer"))
    finally:
        for task in beside:
            task.cancel()
        ended = await asyncio.gather(*beside, return_exceptions=True)
    for error in ended:
        if isinstance(error, Exception):
            raise error
    message, symbols = prepared.wire_bytes()
    pairs = counted.by("vergence_center_pairs_total", "outcome")
    decoded = pairs.get("paired", 0.0) + pairs.get("single", 0.0)
    lasted = seen.lasted(sent.began, arguments.seconds)
    return {
        "engine": told["engine"],
        "batch": told["batch"],
        "rigs": arguments.rigs,
        "size": str(prepared.size),
        "rate": rate,
        "secure": arguments.secure,
        "seconds": arguments.seconds,
        "offered_pairs": sent.captured / 2,
        "paired": pairs.get("paired", 0.0),
        "single": pairs.get("single", 0.0),
        "late": pairs.get("late", 0.0),
        "seen_paired": seen.paired,
        "came_out_over_s": lasted,
        "pairs_per_second": decoded / lasted,
        "seen_pairs_per_second": len(seen.ages) / lasted,
        "age_ms": {name: quantile(seen.ages, share) * 1e3 for name, share in _SHARES.items()},
        "stages_ms": {
            stage: {name: counted.stage_quantile(stage, share) * 1e3 for name, share in _SHARES.items()}
            for stage in STAGES
        }
        | {"publish": {name: quantile(seen.publishing, share) * 1e3 for name, share in _SHARES.items()}},
        "held_back": sent.held_back,
        "outcomes": dict(sent.outcomes),
        "drops": counted.by("vergence_center_drops_total", "reason"),
        "center": {**dataclasses.asdict(usage), "cpu_ms_per_pair": usage.cpu / decoded * 1e3 if decoded else None},
        "cameras_cpu_seconds": generator_cpu,
        "wire_bytes_over_symbols": message / symbols,
    }


def read_status(page: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """What the center tells of itself. page: its URL"""
    with direct.open_url(urllib.request.Request(f"{page}/api/status", headers=dict(headers)), 10.0) as answer:
        status: dict[str, Any] = json.load(answer)
        return status
