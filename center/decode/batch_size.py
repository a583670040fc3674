"""How many pairs a batch holds where the configuration leaves it open: by what the decoder needs here and now."""

import logging
import time
from collections.abc import Callable
from typing import Final

from center.decode.engines import Batch, Engine
from center.decode.engines.base import largest_batch

log = logging.getLogger(__name__)

MOST: Final = 32
"""Pairs in a batch, at most."""

WORTH: Final = 0.9
"""Of the time of a pair in a batch of half the size. Where a larger batch saves less, its pictures would only come
later."""

_TRIES: Final = 3


def learn(engine: Engine, most: int = MOST, clock: Callable[[], float] = time.perf_counter) -> int:
    """The size up to which doubling a batch is worth its wait: a power of two. Slow; not for the event loop.

    Timed with pictures of 128x256. Of larger ones the batcher takes fewer, by their pixels: no more work at once. A
    machine that a batch of small pictures keeps busy, a batch of as many pixels keeps busy too.

    engine  decodes one pair already without first allocations
    most    pairs at most
    clock   gives seconds
    """
    most = largest_batch(engine, most)
    size, before = 1, _seconds(engine, 1, clock) if most > 1 else 0.0
    while size * 2 <= most:
        try:
            larger = _seconds(engine, size * 2, clock)
        except Exception:  # of any library; on a GPU above all that its memory is full
            log.warning("batches of %d are as large as they get: one of %d fails", size, size * 2, exc_info=True)
            break
        if larger / 2 > WORTH * before:
            break
        size, before = size * 2, larger
    return size


def _seconds(engine: Engine, size: int, clock: Callable[[], float]) -> float:
    """Shortest time of a batch of that size. Its turns follow each other: some engines pay for a change of the size."""
    batch = Batch.noise(size)
    engine.decode(batch)
    best = float("inf")
    for _ in range(_TRIES):
        began = clock()
        engine.decode(batch)
        best = min(best, clock() - began)
    return best
