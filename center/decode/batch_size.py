"""How many pairs a batch holds where the configuration leaves it open: by what the decoder needs here and now."""

import time
from collections.abc import Callable, Iterator
from typing import Final

from center.decode.engines import Batch, Engine

MOST: Final = 32
"""Pairs in a batch, at most."""

WORTH: Final = 0.9
"""Of the time of a pair in a batch of half the size. Where a larger batch saves less, its pictures would only come
later: a CPU whose cores a single pair keeps busy gains nothing."""

_TRIES: Final = 3


def learn(engine: Engine, most: int = MOST, clock: Callable[[], float] = time.perf_counter) -> int:
    """The size up to which doubling a batch is worth its wait: a power of two. Slow; not for the event loop.

    engine  decodes one pair already without first allocations
    most    pairs at most
    clock   gives seconds
    """
    size = 1
    for larger in _doubled(most):
        seconds = _times(engine, (size, larger), clock)
        if seconds[larger] / larger > WORTH * seconds[size] / size:
            break
        size = larger
    return size


def _doubled(most: int) -> Iterator[int]:
    size = 2
    while size <= most:
        yield size
        size *= 2


def _times(engine: Engine, sizes: tuple[int, ...], clock: Callable[[], float]) -> dict[int, float]:
    """Shortest time of a batch of each size, seconds; taken in turns, so that a busy moment slows all alike."""
    batches = {size: Batch.noise(size) for size in sizes}
    for batch in batches.values():
        engine.decode(batch)
    best = dict.fromkeys(sizes, float("inf"))
    for _ in range(_TRIES):
        for size, batch in batches.items():
            began = clock()
            engine.decode(batch)
            best[size] = min(best[size], clock() - began)
    return best
