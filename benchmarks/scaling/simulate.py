"""A simulation of many rigs: a ring that spreads them over centers, and each center's queue and decoders.

Pure and seeded, driven by measured stage times. A center is simulated frame by frame. Centers with as many
rigs are alike, so each number of rigs is simulated once, and 100,000 rigs cost seconds.
"""

import bisect
import hashlib
import heapq
import random
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from typing import Final

from benchmarks.scaling.model import Costs, Plan, Tiers

AGE_BUDGET: Final = 1.0
"""Seconds after which nobody wants a pair: `links.age_budget_ms`."""

CREDIT: Final = 3
"""Frames of a camera that are not acknowledged, at most: `links.credit`."""

JITTER: Final = 0.002
"""Seconds by which a frame's way varies, uniform."""

_SETTLE, _SECONDS = 2.0, 10.0
RING: Final = 4096
"""Points on the ring of gRPC's `ring_hash`, all centers together: what a client allows unless it is told otherwise."""


Pair = tuple[float, float, int]
"""When it comes to a tier, when it was captured, whose it is."""


@dataclass
class Outcome:
    """What became of the pairs of one center, after it has settled.

    offered, shown  pairs
    ages            seconds from capture to shown
    busy            share of the time in which each tier works
    """

    offered: int = 0
    shown: int = 0
    ages: list[float] = field(default_factory=list)
    busy: dict[str, float] = field(default_factory=dict)


def spread(rigs: int, centers: int, ring: int = RING) -> list[int]:
    """Rigs of each center by consistent hashing: every rig goes to the next point of the ring."""
    if centers == 1:
        return [rigs]
    each = max(1, ring // centers)
    points = sorted((_hash(f"center-{center}_{number}"), center) for center in range(centers) for number in range(each))
    places = [place for place, _ in points]
    found = Counter(points[bisect.bisect_left(places, _hash(f"rig-{rig}")) % len(points)][1] for rig in range(rigs))
    return [found[center] for center in range(centers)]


def center(costs: Costs, rigs: int, tiers: Tiers, rate: float, watched: float = 0.0, seed: int = 1) -> Outcome:
    """One center with `rigs` rigs and the emulators before it.

    tiers    emulators and cores of engines of this center
    rate     pairs a second of each rig; phases are random, and stay
    watched  programs that watch each pair

    Emulators and front are servers of one core each, first come first served. Behind them a pair waits for a core of
    engines; a newer one of its rig takes its place. A core that is idle takes the pair of the rig that was served
    longest ago.
    """
    end = _SETTLE + _SECONDS
    captured = _captures(rigs, rate, end, random.Random(seed))
    outcome = Outcome(offered=sum(at >= _SETTLE for at, _ in captured))
    arrived = _emulated(captured, costs, tiers.emulators, random.Random(seed + 1), outcome)
    ready = _fronted(arrived, costs.front + watched * costs.watcher, outcome)
    _decoded(ready, costs.engine, tiers.engines, outcome)
    outcome.busy = {tier: min(1.0, spent / end) for tier, spent in outcome.busy.items()}
    return outcome


def _captures(rigs: int, rate: float, end: float, rng: random.Random) -> list[tuple[float, int]]:
    """When each pair is captured, and of which rig, in order."""
    phases = [rng.uniform(0.0, 1.0 / rate) for _ in range(rigs)]
    return sorted((phase + number / rate, rig) for rig, phase in enumerate(phases) for number in range(int(end * rate)))


def _emulated(
    captured: list[tuple[float, int]], costs: Costs, emulators: int, rng: random.Random, outcome: Outcome
) -> list[Pair]:
    """Pairs when the later of their views leaves its emulator, in order."""
    queues = [Queue(2 * costs.emulator) for _ in range(emulators)]
    arrived = []
    for at, rig in captured:  # every edge is as fast as any other: frames come in the order of their captures
        done = queues[rig % emulators].take(at + costs.encode + rng.uniform(0.0, JITTER), rig)
        if done is not None:
            arrived.append((done, at, rig))
    outcome.busy["emulator"] = sum(queue.spent for queue in queues) / emulators
    return sorted(arrived)


def _fronted(arrived: list[Pair], seconds: float, outcome: Outcome) -> list[Pair]:
    """Pairs when they wait for an engine, in order. seconds: CPU time of a pair"""
    queue, ready = Queue(seconds), []
    for comes, at, rig in arrived:
        done = queue.take(comes, rig)
        if done is not None and done - at <= AGE_BUDGET:
            ready.append((done, at, rig))
    outcome.busy["front"] = queue.spent
    return ready


class Queue:
    """A server of one core, first come first served. A rig has CREDIT pairs in it at most; what its camera cannot send
    makes room for a newer picture there. seconds: of each pair; spent: in all"""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._free, self.spent = seconds, 0.0, 0.0
        self._inside: defaultdict[int, deque[float]] = defaultdict(deque)

    def take(self, comes: float, rig: int) -> float | None:
        """When a pair leaves; None if its rig has no credit."""
        inside = self._inside[rig]
        while inside and inside[0] <= comes:
            inside.popleft()
        if len(inside) >= CREDIT:
            return None
        self._free = max(comes, self._free) + self._seconds
        self.spent += self._seconds
        inside.append(self._free)
        return self._free


def _decoded(ready: list[Pair], seconds: float, cores: int, outcome: Outcome) -> None:
    """Decode one pair a core, the rigs in turns, and note what is shown. seconds: of a pair"""
    idle = [0.0] * cores  # a heap: when each core is idle next
    waiting: dict[int, float] = {}  # rig -> when its newest pair was captured, in the order of their turns
    spent = 0.0

    def begin(now: float) -> None:
        nonlocal spent
        done = max(now, idle[0]) + seconds
        heapq.heapreplace(idle, done)
        spent += seconds
        at = waiting.pop(next(iter(waiting)))
        if at >= _SETTLE and done - at <= AGE_BUDGET:
            outcome.shown += 1
            outcome.ages.append(done - at)

    for comes, at, rig in ready:
        while waiting and idle[0] < comes:  # all cores were busy when these came
            begin(idle[0])
        waiting[rig] = at
        if idle[0] <= comes:
            begin(comes)
    while waiting:
        begin(idle[0])
    outcome.busy["engine"] = spent / cores


@dataclass(frozen=True, slots=True)
class Whole:
    """All centers together. shown: share of the pairs; p50, p99: ages in seconds; fullest: rigs of the fullest center
    over the average; busy: of the fullest center's tiers"""

    shown: float
    p50: float
    p99: float
    fullest: float
    busy: dict[str, float]


def whole(costs: Costs, planned: Plan, watched: float = 0.0, ring: int = RING, even: bool = False) -> Whole:
    """Simulate every center of a plan. even: rigs are spread evenly and not by the ring"""
    loads = spread(planned.rigs, planned.centers, ring)
    if even:
        less, more = divmod(planned.rigs, planned.centers)
        loads = [less + (number < more) for number in range(planned.centers)]
    alike = Counter(load for load in loads if load)
    found = {load: center(costs, load, planned.each, planned.rate, watched) for load in _few(alike)}
    offered = shown = 0.0
    ages: list[tuple[float, float]] = []
    for load, centers in alike.items():
        like = found[min(found, key=lambda each: abs(each - load))]
        weight = centers * load / max(1, like.offered)
        offered += like.offered * weight
        shown += like.shown * weight
        ages += [(age, weight) for age in like.ages]
    ages.sort()
    fullest = max(alike)
    return Whole(
        shown=shown / offered,
        p50=_quantile(ages, 0.5),
        p99=_quantile(ages, 0.99),
        fullest=fullest / planned.rigs_each,
        busy=found[fullest].busy,
    )


def _few(alike: Counter[int], most: int = 12) -> list[int]:
    """Loads to simulate: all, or so many of them evenly by rank, the fullest among them."""
    loads = sorted(alike)
    step = max(1, len(loads) // most)
    return sorted({*loads[::step], loads[-1]})


def _quantile(ages: list[tuple[float, float]], share: float) -> float:
    left = share * sum(weight for _, weight in ages)
    for age, weight in ages:
        left -= weight
        if left <= 0.0:
            return age
    return float("nan")


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
