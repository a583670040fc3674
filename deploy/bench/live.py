"""Speed, latency and memory of the whole demo: `vergence bench live`."""

import argparse
import json
import os
import statistics
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from websockets.sync.client import connect

from deploy.bench.arguments import positive
from deploy.local.demo import of_size
from deploy.local.stack import Ports, Stack, running

WARM_UP_SECONDS: Final = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=positive, default=60.0, help="how long to watch (default %(default)s)")
    parser.add_argument("--size", metavar="RxC", help="of the pictures, at most 256x512 (default: that of edge.yaml)")


@dataclass
class Observed:
    """What a browser saw. ages: seconds from capture to arrival; stages: seconds by stage; rss: bytes by service."""

    seconds: float = 0.0
    seen: set[float] = field(default_factory=set)
    paired: int = 0
    single: int = 0
    ages: list[float] = field(default_factory=list)
    stages: dict[str, list[float]] = field(default_factory=dict)
    rss: dict[str, list[int]] = field(default_factory=dict)


def run(arguments: argparse.Namespace) -> int:
    """Start the demo, watch its page as a browser does, print what came."""
    with running(Ports.free(), print, of_size(arguments.size)) as stack:
        time.sleep(WARM_UP_SECONDS)
        observed = observe(stack, arguments.seconds)
    report(observed)
    return 0


def observe(stack: Stack, seconds: float) -> Observed:
    """Read the page's WebSocket for a while; memory is read once a second."""
    observed = Observed()
    began = sampled = time.monotonic()
    with connect(f"ws://{stack.ports.host}:{stack.ports.page}/ws?rig=demo", max_size=None, proxy=None) as browser:
        while (now := time.monotonic()) - began < seconds:
            note(observed, header(browser.recv(timeout=10)))
            browser.send("shown")
            if now - sampled >= 1.0:
                sampled = now
                for process in stack.processes:
                    if process.pid is not None:
                        observed.rss.setdefault(process.name, []).append(resident(process.pid))
    observed.seconds = time.monotonic() - began
    return observed


def header(message: str | bytes) -> dict[str, Any]:
    """The JSON header of one message of the page (center/web/stream.py)."""
    assert isinstance(message, bytes)
    (length,) = struct.unpack_from("<I", message)
    parsed: dict[str, Any] = json.loads(message[4 : 4 + length])
    return parsed


def note(observed: Observed, pair: dict[str, Any]) -> None:
    """Add one pair. The later view of a pair sets its age, since that is what the picture waited for."""
    paired = pair["pairing"] == "paired"
    if not pair["views"] or pair["captured_at_ms"] in observed.seen:  # it comes again when it has been measured
        return
    observed.seen.add(pair["captured_at_ms"])
    observed.paired += paired
    observed.single += not paired
    observed.ages.append(time.time() - pair["captured_at_ms"] / 1e3)
    for view in pair["views"]:
        for stage, milliseconds in view["stages_ms"].items():
            observed.stages.setdefault(stage, []).append(milliseconds / 1e3)


def resident(pid: int) -> int:
    """Resident memory of a process in bytes (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def report(observed: Observed) -> None:
    """Print the tables."""
    pairs = observed.paired + observed.single
    print(f"\n{pairs / observed.seconds:.2f} pairs/s over {observed.seconds:.0f} s, {observed.single} decoded alone\n")
    print("| stage | p50 ms | p95 ms |")
    print("|---|---|---|")
    for stage, times in [*observed.stages.items(), ("capture to page", observed.ages)]:
        print(f"| {stage} | {statistics.median(times) * 1e3:.1f} | {percentile(times, 0.95) * 1e3:.1f} |")
    work = sum(statistics.median(observed.stages[stage]) for stage in ("encode", "decode"))
    print(f"\ncapture to page is {statistics.median(observed.ages) / work:.2f} x (encode + decode), all at p50\n")
    print("| service | resident MB at first | at last | most |")
    print("|---|---|---|---|")
    for name, sizes in observed.rss.items():
        print(f"| {name} | {sizes[0] / 2**20:.0f} | {sizes[-1] / 2**20:.0f} | {max(sizes) / 2**20:.0f} |")


def percentile(values: list[float], share: float) -> float:
    """The value that `share` of all values do not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]
