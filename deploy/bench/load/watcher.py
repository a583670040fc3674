"""What comes out of the center while load goes in: every pair with its pictures, and the center's own counters."""

import asyncio
import os
import time
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from grpc import aio

from deploy.bench.live import percentile, resident
from wire.runtime import grpc_kit
from wire.runtime.samples import read_samples
from wire.security.keyring import NO_KEYS, Keyring
from wire.v1 import pair_service_pb2 as pairs_pb2
from wire.v1.pair_service_pb2_grpc import PairServiceStub

STAGES = ("capture", "encode", "channel", "network", "pair", "batch", "decode")
"""That the center counts; from decoded to here comes after them."""


@dataclass
class Seen:
    """Pairs that came out over WatchPairs, RGB8.

    ages     seconds from capture to arrival here, pictures included
    publishing  of these, since the decoder was done
    paired, single  by how they were decoded
    arrivals  by rig: when its pairs came, time.monotonic
    """

    ages: list[float] = field(default_factory=list)
    publishing: list[float] = field(default_factory=list)
    paired: int = 0
    single: int = 0
    arrivals: dict[str, list[float]] = field(default_factory=dict)

    def lasted(self, began: float, seconds: float) -> float:
        """Seconds in which the pairs of a load came out: those of the load, and more where the last ones came later.

        What an overloaded center still has in its queue at the end came in those seconds, and goes out after them.

        began    when its first pair was due, time.monotonic
        seconds  of the load
        """
        last = max((moments[-1] for moments in self.arrivals.values()), default=began)
        return max(seconds, last - began)


async def watch(address: str, seen: Seen, keys: Keyring = NO_KEYS) -> None:
    """Collect pairs of every rig until cancelled."""
    async with grpc_kit.connect(address, keys) as channel:
        request = pairs_pb2.WatchPairsRequest()
        call = PairServiceStub(channel).WatchPairs(request, metadata=keys.metadata(), wait_for_ready=True)
        try:
            async for pair in call:
                note(seen, pair)
        except aio.AioRpcError as error:
            raise RuntimeError(f"the center ended the watch: {error.details()}") from None


def note(seen: Seen, pair: pairs_pb2.WatchPairsResponse) -> None:
    """Add one pair."""
    now = time.time_ns()
    seen.ages.append((now - pair.captured_at_ns) / 1e9)
    seen.publishing.append((now - pair.decoded_at_ns) / 1e9)
    if pair.pairing == pairs_pb2.PAIRING_PAIRED:
        seen.paired += 1
    else:
        seen.single += 1
    seen.arrivals.setdefault(pair.rig, []).append(time.monotonic())


@dataclass(frozen=True)
class Counters:
    """The center's counters at one moment. samples: by metric name and labels."""

    samples: dict[tuple[str, tuple[tuple[str, str], ...]], float]

    @staticmethod
    def read(url: str, headers: Mapping[str, str] | None = None) -> "Counters":
        """url: of the center's /metrics."""
        samples = read_samples(urllib.request.Request(url, headers=dict(headers or {})), timeout=10)
        return Counters({(each.name, tuple(sorted(each.labels.items()))): each.value for each in samples})

    def by(self, name: str, label: str) -> dict[str, float]:
        """Sums of a metric by one label."""
        sums: dict[str, float] = {}
        for (sample, labels), value in self.samples.items():
            if sample == name:
                key = dict(labels).get(label, "")
                sums[key] = sums.get(key, 0.0) + value
        return sums

    def since(self, before: "Counters") -> "Counters":
        """What was counted in between."""
        return Counters({key: value - before.samples.get(key, 0.0) for key, value in self.samples.items()})

    def stage_quantile(self, stage: str, share: float) -> float:
        """A quantile of a stage's time from its histogram, seconds, linear inside a bucket; NaN without samples."""
        buckets: dict[float, float] = {}
        for (sample, labels), value in self.samples.items():
            told = dict(labels)
            if sample == "vergence_center_stage_seconds_bucket" and told.get("stage") == stage:
                edge = float(told["le"])
                buckets[edge] = buckets.get(edge, 0.0) + value
        return histogram_quantile(buckets, share)


def histogram_quantile(buckets: dict[float, float], share: float) -> float:
    """As Prometheus does it. buckets: cumulative counts by upper edge."""
    edges = sorted(buckets)
    if not edges or buckets[edges[-1]] == 0.0:
        return float("nan")
    wanted, low, before = share * buckets[edges[-1]], 0.0, 0.0
    for edge in edges:
        if buckets[edge] >= wanted:
            if edge == float("inf"):
                return low
            inside = buckets[edge] - before
            return low + (edge - low) * ((wanted - before) / inside if inside else 0.0)
        low, before = edge, buckets[edge]
    return low


@dataclass
class Usage:
    """What a process used. cpu: seconds, known at the end; rss: bytes, most seen; files, threads: at the last look."""

    cpu: float = 0.0
    rss: int = 0
    files: int = 0
    threads: int = 0


async def sample_usage(pid: int, usage: Usage, every: float = 0.5) -> None:
    """Watch a process of this machine until cancelled (Linux)."""
    first = cpu_seconds(pid)
    try:
        while True:
            usage.rss = max(usage.rss, resident(pid))
            usage.files = len(os.listdir(f"/proc/{pid}/fd"))
            usage.threads = len(os.listdir(f"/proc/{pid}/task"))
            await asyncio.sleep(every)
    finally:
        with suppress(OSError):  # it may be gone
            usage.cpu = cpu_seconds(pid) - first


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def quantile(values: list[float], share: float) -> float:
    """The value that `share` of all do not exceed; NaN of none."""
    return percentile(values, share) if values else float("nan")
