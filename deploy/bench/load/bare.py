"""The decoder with nothing around it: what any server's figures are compared with."""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from center.decode import engines
from center.decode.engines import Batch, Engine
from center.decode.engines.base import in_flight
from wire.geometry import DEFAULT_SIZE, PictureSize

_TRIES: Final = 12
_BEAT_SECONDS: Final = 4.0
_EACH: Final = 2
"""Calls one after another of each thread, where an engine takes several at once."""


@dataclass(frozen=True, slots=True)
class BareEngine:
    """
    seconds  median time of one call, by pairs in the batch
    at_once  pairs/s of one pair a call, with as many calls at once as the engine takes; 0 where that is one
    at_beat  times of one pair, when pairs come at a beat: after a rest a call takes longer. Empty where they come
             faster than one call after the other
    """

    name: str
    seconds: dict[int, float]
    at_once: float = 0.0
    at_beat: tuple[float, ...] = ()

    @property
    def kind(self) -> str:
        """As `engine.kind` calls it; "auto" may choose another one in another process."""
        return self.name.partition(" ")[0]

    @property
    def pairs_per_second(self) -> float:
        """The best rate there is."""
        return max(self.at_once, *(size / seconds for size, seconds in self.seconds.items()))


def measure(
    engine: Engine, sizes: tuple[int, ...] = (1, 2, 4), tries: int = _TRIES, picture: PictureSize = DEFAULT_SIZE
) -> BareEngine:
    """Time an engine at several batch sizes, in turns, so that a busy moment slows all alike. picture: their size"""
    batches = {size: Batch.noise(size, size=picture) for size in sizes}
    for batch in batches.values():
        engine.decode(batch)
    times: dict[int, list[float]] = {size: [] for size in sizes}
    calls, took = in_flight(engine), list[float]()
    with ThreadPoolExecutor(calls) as threads:
        for _ in range(tries):
            for size, batch in batches.items():
                began = time.perf_counter()
                engine.decode(batch)
                times[size].append(time.perf_counter() - began)
            if calls > 1:
                began = time.perf_counter()
                list(threads.map(engine.decode, [batches[1]] * calls * _EACH))
                took.append(time.perf_counter() - began)
    at_once = calls * _EACH / statistics.median(took) if took else 0.0
    return BareEngine(engine.name, {size: statistics.median(each) for size, each in times.items()}, at_once)


def measure_at_beat(engine: Engine, period: float, picture: PictureSize = DEFAULT_SIZE) -> tuple[float, ...]:
    """Seconds of one pair, when one comes every `period` seconds."""
    batch, times, due = Batch.noise(1, size=picture), list[float](), time.perf_counter()
    for _ in range(max(2, round(_BEAT_SECONDS / period))):
        due = max(due + period, time.perf_counter())
        time.sleep(max(0.0, due - time.perf_counter()))
        began = time.perf_counter()
        engine.decode(batch)
        times.append(time.perf_counter() - began)
    return tuple(times)


def load_and_measure(
    codec: str, kind: engines.Kind, threads: int, period: float, picture: PictureSize = DEFAULT_SIZE
) -> BareEngine:
    """The engine that a center of this configuration decodes with, at the batches that it makes of pictures of a size.

    period  seconds from one pair to the next
    raises  UserError as `engines.load` does
    """
    engine = engines.load(codec, kind, "auto", threads)
    engines.warm_up(engine, 4)
    sizes = tuple(size for size in (1, 2, 4) if size <= picture.most_in(4))
    found = measure(engine, sizes, picture=picture)
    if period <= found.seconds[1]:
        return found
    return replace(found, at_beat=measure_at_beat(engine, period, picture))
