"""Whose turn it is, among the rigs that wait for the decoder."""

import heapq
import itertools
from collections import OrderedDict
from typing import Final

REMEMBERED: Final = 4_096
"""Rigs whose last turn is known; who was served longer ago counts as one that never was."""

_SPARE: Final = 16
"""Entries that no longer hold in a heap, at least, before it is made anew."""


class Turns:
    """Serves the rig first that was served longest ago; no clock, no thread. O(log n) a step.

    By the time of the last turn, not of the arrival: cameras of one rate arrive in the same order in each period, and
    first come, first served would drop the same rigs in each.
    """

    def __init__(self) -> None:
        self._served: OrderedDict[str, int] = OrderedDict()  # rig -> number of its last turn
        self._numbers = itertools.count(1)
        self._waiting: dict[str, tuple[int, int, int]] = {}  # rig -> (last turn, waits since, jobs)
        # Heaps; entries that differ from what stands above are skipped.
        self._first: list[tuple[int, int, str]] = []
        self._most: list[tuple[int, int, int, str]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, rig: object) -> bool:
        return rig in self._waiting

    def set_jobs(self, rig: str, jobs: int) -> None:
        """A rig has another number of jobs; one with none leaves, and its last turn is remembered."""
        if not jobs:
            del self._waiting[rig]
            return
        _, since, _ = self._waiting.get(rig) or (0, next(self._numbers), 0)
        self._put(rig, since, jobs)

    def first(self) -> str:
        """The rig that was served longest ago; of equals the one that waits longest. There must be one."""
        while not self._holds(*self._first[0]):
            heapq.heappop(self._first)
        return self._first[0][2]

    def most(self) -> str:
        """The rig with most jobs; of equals the one that was served last. There must be one."""
        while True:
            jobs, turn, since, rig = self._most[0]
            if self._waiting.get(rig) == (-turn, -since, -jobs):
                return rig
            heapq.heappop(self._most)

    def serve(self, rig: str) -> None:
        """A rig that waits has its turn now, so it comes after all others."""
        self._served.pop(rig, None)
        self._served[rig] = next(self._numbers)
        if len(self._served) > REMEMBERED:
            self._served.popitem(last=False)
        _, since, jobs = self._waiting[rig]
        self._put(rig, since, jobs)

    def _put(self, rig: str, since: int, jobs: int) -> None:
        turn = self._served.get(rig, 0)
        before = self._waiting.get(rig)
        self._waiting[rig] = (turn, since, jobs)
        if before is None or before[:2] != (turn, since):
            heapq.heappush(self._first, (turn, since, rig))
        heapq.heappush(self._most, (-jobs, -turn, -since, rig))
        if len(self._first) > 2 * len(self._waiting) + _SPARE:
            self._first = [(turn, since, rig) for rig, (turn, since, _) in self._waiting.items()]
            heapq.heapify(self._first)
        if len(self._most) > 2 * len(self._waiting) + _SPARE:
            self._most = [(-jobs, -turn, -since, rig) for rig, (turn, since, jobs) in self._waiting.items()]
            heapq.heapify(self._most)

    def _holds(self, turn: int, since: int, rig: str) -> bool:
        return self._waiting.get(rig, ())[:2] == (turn, since)
