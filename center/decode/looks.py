"""When to look at whom again."""

import heapq
import itertools
import math
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Looks(Generic[K]):
    """One planned look at each at most; no clock, no thread. O(log n) a step.

    Deadlines only move back while frames come and go, so a look that is planned already is early enough: it plans the
    next one. Only what is due earlier needs another.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, K]] = []
        self._at: dict[K, float] = {}  # the entry that counts
        self._planned = itertools.count()

    def __len__(self) -> int:
        """Entries, with those that count no longer."""
        return len(self._heap)

    def plan(self, whom: K, at: float) -> None:
        """Look at this one then, seconds, unless that is to happen earlier; +inf plans nothing."""
        if at < self._at.get(whom, math.inf):
            self._at[whom] = at
            heapq.heappush(self._heap, (at, next(self._planned), whom))

    def due(self, now: float) -> Iterator[K]:
        """Those to look at by now, seconds; each is planned no longer when it comes."""
        while self._heap and self._heap[0][0] <= now:
            at, _, whom = heapq.heappop(self._heap)
            if self._at.get(whom) == at:
                del self._at[whom]
                yield whom

    @property
    def next_at(self) -> float:
        """When the next one is due, seconds; +inf if none is planned."""
        return self._heap[0][0] if self._heap else math.inf
