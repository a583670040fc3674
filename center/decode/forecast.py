"""When the decoder will be free, by how long it took of late; no clock, no thread."""

import itertools
import math
import statistics
from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

LEAD: Final = 0.15
"""Of a batch's time: so long before the end of one the next is handed over, so that the decoder need not wait for the
event loop, which on a busy machine takes milliseconds to hear of the end. Less would not cover that; more would take
pictures that a newer one still could replace."""

MOST_LEAD: Final = 0.01
"""Seconds."""

_REMEMBERED: Final = 7
"""Batches of one kind whose times are remembered; their median is believed, so that one slow batch changes nothing."""

KINDS: Final = 64
"""Kinds of batches whose times are known; of those beyond, the one that was decoded longest ago is forgotten. One size
of pictures makes half as many at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Started:
    """A batch that was handed over.

    at      when, seconds
    kind    equal for batches that are equal work
    places  as how many of the batches that the decoder works on at once it counts
    """

    at: float
    kind: Hashable
    places: int = 1


class Forecast:
    """Of a decoder that works on one batch after the other, in the order in which they are handed over. Of batches of
    which it works on several at once only the usual time is known: they end in any order."""

    def __init__(self) -> None:
        self._times: OrderedDict[Hashable, deque[float]] = OrderedDict()  # the kind that was decoded last at the end
        self._started: list[Started] = []  # the one it works on first
        self._ended_at = -math.inf

    def start(self, kind: Hashable, now: float, places: int = 1) -> Started:
        """A batch is handed over.

        kind    equal for batches that are equal work: how many pairs, and the size of their pictures
        now     seconds
        places  see `Started`
        """
        started = Started(now, kind, places)
        self._started.append(started)
        return started

    def end(self, started: Started, began: float, ended: float) -> None:
        """A batch is decoded; the decoder worked on it so long, seconds."""
        self._started.remove(started)
        self._times.setdefault(started.kind, deque(maxlen=_REMEMBERED)).append(ended - began)
        self._times.move_to_end(started.kind)
        if len(self._times) > KINDS:
            self._times.popitem(last=False)
        self._ended_at = ended

    def give_up(self, started: Started) -> None:
        """A batch failed: nothing is learned from its time."""
        self._started.remove(started)

    def usual(self, started: Started) -> float | None:
        """What batches of this kind took of late, seconds; None if none has ended yet."""
        times = self._times.get(started.kind)
        return statistics.median(times) if times else None

    def free(self, places: int, at_once: int) -> tuple[int, float]:
        """What `Batcher.take` asks before it gives a batch that counts as so many.

        at_once  how many places the decoder has
        returns  how many batches the next one would wait behind, with one that is worked on: 0 if it could begin now;
                 and from when on one may be handed over all the same, seconds
        """
        taken = list(itertools.accumulate(each.places for each in self._started))
        if not taken or taken[-1] + places <= at_once:
            return 0, math.inf
        soon_at = self.soon_at if taken[-1] >= at_once else math.inf  # side by side they take longer than alone
        return 1 + sum(each > at_once for each in taken), soon_at

    @property
    def soon_at(self) -> float:
        """From when on one batch may be handed over beside the one that is decoded, seconds; +inf if that is not known
        or not so."""
        if len(self._started) != 1 or (usual := self.usual(self._started[0])) is None:
            return math.inf
        return max(self._started[0].at, self._ended_at) + usual - min(LEAD * usual, MOST_LEAD)
