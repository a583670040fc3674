"""The decoder with nothing around it: what any server's figures are compared with."""

import statistics
import time
from dataclasses import dataclass
from typing import Final

from center.decode import engines
from center.decode.engines import Batch, Engine
from wire.geometry import DEFAULT_SIZE, PictureSize

_TRIES: Final = 12


@dataclass(frozen=True, slots=True)
class BareEngine:
    """seconds: median time of one call, by pairs in the batch."""

    name: str
    seconds: dict[int, float]

    @property
    def pairs_per_second(self) -> float:
        """The best rate over all batch sizes."""
        return max(size / seconds for size, seconds in self.seconds.items())


def measure(
    engine: Engine, sizes: tuple[int, ...] = (1, 2, 4), tries: int = _TRIES, picture: PictureSize = DEFAULT_SIZE
) -> BareEngine:
    """Time an engine at several batch sizes, in turns, so that a busy moment slows all alike. picture: their size"""
    batches = {size: Batch.noise(size, size=picture) for size in sizes}
    for batch in batches.values():
        engine.decode(batch)
    times: dict[int, list[float]] = {size: [] for size in sizes}
    for _ in range(tries):
        for size, batch in batches.items():
            began = time.perf_counter()
            engine.decode(batch)
            times[size].append(time.perf_counter() - began)
    return BareEngine(engine.name, {size: statistics.median(each) for size, each in times.items()})


def load_and_measure(codec: str, kind: engines.Kind, threads: int, picture: PictureSize = DEFAULT_SIZE) -> BareEngine:
    """The engine that a center of this configuration decodes with, at the batches that it makes of pictures of a size.

    raises  UserError as `engines.load` does
    """
    engine = engines.load(codec, kind, "auto", threads)
    engines.warm_up(engine, 4)
    return measure(
        engine, tuple(size for size in (1, 2, 4) if size == 1 or size * picture.weight <= 4), picture=picture
    )
