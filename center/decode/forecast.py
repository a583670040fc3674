"""When the decoder will be free, by how long it took of late; no clock, no thread."""

import math
import statistics
from collections import OrderedDict, deque
from collections.abc import Hashable
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
"""Kinds of batches whose times are known; of those beyond, the one that was decoded longest ago is forgotten."""


class Forecast:
    """Of a decoder that works on one batch after the other, in the order in which they are handed over."""

    def __init__(self) -> None:
        self._times: OrderedDict[Hashable, deque[float]] = OrderedDict()
        self._started: deque[tuple[float, Hashable]] = deque()  # (handed over at, kind), the one it works on first
        self._ended_at = -math.inf

    def start(self, kind: Hashable, now: float) -> None:
        """A batch is handed over.

        kind  equal for batches that are equal work: how many pairs, and the size of their pictures
        now   seconds
        """
        self._started.append((now, kind))

    def end(self, began: float, ended: float) -> None:
        """The oldest batch is decoded; the decoder worked on it so long, seconds."""
        _, kind = self._started.popleft()
        self._times.setdefault(kind, deque(maxlen=_REMEMBERED)).append(ended - began)
        self._times.move_to_end(kind)
        if len(self._times) > KINDS:
            self._times.popitem(last=False)
        self._ended_at = ended

    def give_up(self) -> None:
        """The oldest batch failed: nothing is learned from its time."""
        self._started.popleft()

    @property
    def soon_at(self) -> float:
        """From when on one batch may be handed over beside the one that is decoded, seconds; +inf if that is not known
        or not so."""
        if len(self._started) != 1:
            return math.inf
        handed_over, kind = self._started[0]
        if not (times := self._times.get(kind)):
            return math.inf
        usual = statistics.median(times)
        return max(handed_over, self._ended_at) + usual - min(LEAD * usual, MOST_LEAD)
