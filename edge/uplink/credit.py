"""How many frames may be on their way: the window that keeps live video from turning stale in buffers."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

WIDEN_AFTER: Final = 16
"""Frames in a row that came in time before one more may be on its way."""
QUEUED: Final = 1.5
"""An answer that took so many times the shortest one of late has waited on the way."""
_REMEMBERED: Final = 16


@dataclass(slots=True)
class CreditWindow:
    """Counts unacknowledged frames; no clock, no thread. Times are seconds on any monotonic clock.

    On a network that is too narrow for the frames that are on their way, each waits behind the others, and all come too
    late. So a frame that comes too late, and was answered much later than others are, halves how many may be; a row of
    others widens it again. A frame that comes too late over a path that is merely long has not waited on it, but
    perhaps here, for an answer, as the window is too small for such a path: halving would keep it so for ever.

    ceiling: most frames on their way that we allow ourselves, whatever the other side grants.
    """

    ceiling: int
    _granted: int = 0
    _held_back: int = 0
    _in_time: int = 0
    _round_trips: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    _sent: dict[int, float] = field(default_factory=dict)  # sequence -> when it was sent, oldest first

    @property
    def size(self) -> int:
        """Frames that may be on their way at once; 0 while closed."""
        return min(self._most, max(1, self.ceiling - self._held_back))

    @property
    def in_use(self) -> int:
        """Frames on their way."""
        return len(self._sent)

    @property
    def open(self) -> bool:
        """Whether one more frame may go."""
        return self.in_use < self.size

    def grant(self, credit: int) -> None:
        """A link stands and grants `credit`; nothing is on its way."""
        self._granted = credit
        self._sent.clear()

    @property
    def _most(self) -> int:
        """Frames that both sides allow, however they come."""
        return min(self.ceiling, self._granted)

    def send(self, sequence: int, now: float) -> None:
        """A frame goes, whose making began while the window was open; it may have narrowed since, by a late answer.

        now     when, seconds
        raises  ValueError if there is no credit for it
        """
        if self.in_use >= self._most:
            raise ValueError(f"no credit for frame {sequence}: {self.in_use} of {self._most} are on their way")
        self._sent[sequence] = now

    def acknowledge(self, sequence: int, now: float) -> float | None:
        """A frame is answered and gives its credit back.

        now      when, seconds
        returns  seconds since it was sent; None if it was not on its way (answered twice)
        """
        sent = self._sent.pop(sequence, None)
        return None if sent is None else now - sent

    def came(self, late: bool, seconds: float) -> None:
        """A frame came too late, or in time. seconds: from sending it to its answer"""
        self._round_trips.append(seconds)
        late = late and seconds > QUEUED * min(self._round_trips)
        self._in_time = 0 if late else self._in_time + 1
        if late:
            self._held_back = self.ceiling - max(1, (self.ceiling - self._held_back) // 2)
        elif self._in_time >= WIDEN_AFTER:
            self._in_time, self._held_back = 0, max(0, self._held_back - 1)

    def close(self) -> int:
        """The link is gone. returns how many frames stay unanswered"""
        lost = len(self._sent)
        self.grant(0)
        return lost

    def overdue_at(self, patience: float) -> float | None:
        """When the oldest unanswered frame will have waited `patience` seconds; None if all are answered."""
        oldest = next(iter(self._sent.values()), None)
        return None if oldest is None else oldest + patience
