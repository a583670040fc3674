"""Matches the two views of one rig by capture time."""

from collections import deque
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from wire.views import View


class Arrival(Protocol):
    """One received frame, as far as pairing is concerned; all times in seconds on one clock.

    captured_at  when the picture was taken
    arrived_at   when the frame reached the center
    """

    @property
    def view(self) -> View: ...
    @property
    def sequence(self) -> int: ...
    @property
    def captured_at(self) -> float: ...
    @property
    def arrived_at(self) -> float: ...


A = TypeVar("A", bound=Arrival)


@dataclass(frozen=True, slots=True)
class Paired(Generic[A]):
    """Both views of one instant."""

    left: A
    right: A


@dataclass(frozen=True, slots=True)
class Single(Generic[A]):
    """The partner never came: to be decoded alone.

    awaited  the other camera is there and the rig has paired of late: the partner was late, or dropped on its way
    """

    frame: A
    awaited: bool = False


@dataclass(frozen=True, slots=True)
class DroppedLate(Generic[A]):
    """Its instant was shown already, without it."""

    frame: A


@dataclass(frozen=True, slots=True)
class Repeated(Generic[A]):
    """Its sequence is not above the newest one of its camera."""

    frame: A
    newest: int


Outcome = Paired[A] | Single[A] | DroppedLate[A] | Repeated[A]

MOST_WAITING: Final = 8
"""More frames than this never wait for partners, whatever the patience."""

NEVER_PAIRS: Final = 8
"""Frames alone in a row after which no partner is awaited any longer: such a rig is to be seen, pair or not."""

SET_BACK: Final = 1.0
"""Seconds. A camera whose frames go back by more than this follows a clock that was set back."""


class Pairer(Generic[A]):
    """Pairs by capture time, never by arrival; O(1) per frame, no clock, no thread.

    tolerance  largest |left - right| capture distance of a pair, seconds; may be changed at any time
    patience   how long a frame waits for its partner before it is released alone, seconds; may be changed
    silence    a connected camera that sent nothing for this long is not waited for, seconds; or for two of its
               periods, or for half as long again as the other one

    Every frame that is pushed comes out exactly once, as one of the four outcomes. Each camera sends in order
    of capture, so a frame stops waiting as soon as the other camera has passed its instant. Hence all frames
    that wait are of one view, and one deque holds them. What comes out is never older than what came out before,
    unless a clock was set back: then the past is forgotten, instead of dropping frames until the clock is where
    it was.
    """

    def __init__(self, tolerance: float, patience: float, silence: float = float("inf")) -> None:
        self.tolerance, self.patience, self.silence = tolerance, patience, silence
        self._waiting: deque[A] = deque()
        self._late_until = dict.fromkeys(View, float("-inf"))
        self._newest = dict.fromkeys(View, 0)
        self._heard_at = dict.fromkeys(View, float("-inf"))  # -inf: not connected
        self._last_captured_at = dict.fromkeys(View, float("-inf"))
        self._period = dict.fromkeys(View, 0.0)  # between the last two frames; before the second, from the Hello on
        self._delay = dict.fromkeys(View, float("nan"))
        self._alone_in_a_row = 0

    def connect(self, view: View, now: float, restarted: bool) -> None:
        """A camera said Hello. restarted: it counts its sequences anew."""
        self._heard_at[view] = now
        if restarted:
            self._newest[view] = 0

    def credit(self, view: View, now: float) -> None:
        """A camera that is connected was given credit: while it had none, its silence was our doing."""
        if self._heard_at[view] > float("-inf"):
            self._heard_at[view] = max(self._heard_at[view], now)

    def disconnect(self, view: View) -> list[Outcome[A]]:
        """A camera is gone: nothing waits for it any longer."""
        self._heard_at[view] = float("-inf")
        if self._waiting and self._waiting[0].view is not view:
            return [*self.flush()]
        return []

    def push(self, frame: A) -> list[Outcome[A]]:
        """Take one frame; gives everything that it decides, in order of capture."""
        view, other = frame.view, frame.view.other
        if frame.sequence <= self._newest[view]:
            return [Repeated(frame, self._newest[view])]
        self._newest[view] = frame.sequence
        decided: list[Outcome[A]] = []
        if frame.captured_at < self._last_captured_at[view] - SET_BACK:
            decided += self.flush()
            self._late_until = dict.fromkeys(View, float("-inf"))
            self._heard_at[view] = float("-inf")
        if self._last_captured_at[view] > float("-inf"):
            self._period[view] = frame.captured_at - self._last_captured_at[view]
        elif self._heard_at[view] > float("-inf"):
            self._period[view] = frame.arrived_at - self._heard_at[view]
        self._last_captured_at[view] = frame.captured_at
        self._heard_at[view] = max(self._heard_at[view], frame.arrived_at)
        self._delay[view] = frame.arrived_at - frame.captured_at
        if frame.captured_at <= self._late_until[view]:
            return [*decided, DroppedLate(frame)]
        decided += self._match(frame)
        if self._waiting and self._waiting[0].view is view:
            if not self._expected(other, frame.arrived_at):
                decided += self.flush()
            elif len(self._waiting) > MOST_WAITING:
                decided.append(self._alone(self._waiting.popleft(), frame.arrived_at))
        return decided

    def expire(self, now: float) -> list[Outcome[A]]:
        """Release alone what has waited for `patience`."""
        released: list[Outcome[A]] = []
        while self._waiting and now >= self._waiting[0].arrived_at + self.patience:
            released.append(self._alone(self._waiting.popleft(), now))
        return released

    def flush(self) -> list[Single[A]]:
        """Release alone everything that waits; no partner is awaited."""
        released = [self._alone(frame) for frame in self._waiting]
        self._waiting.clear()
        return released

    @property
    def deadline(self) -> float:
        """When `expire` has something to do next; +inf when nothing waits."""
        return self._waiting[0].arrived_at + self.patience if self._waiting else float("inf")

    @property
    def skew(self) -> float:
        """How much longer left frames take from capture to arrival than right ones, seconds; NaN if not known.

        Clocks that disagree look like this too. Beyond `patience` no pair can come about.
        """
        return self._delay[View.LEFT] - self._delay[View.RIGHT]

    def _expected(self, view: View, now: float) -> bool:
        """Whether a frame of this view may be on its way: a slow camera is not silent between its frames, nor one that
        rested while the other one rested too."""
        silence = max(self.silence, 2.0 * self._period[view], 1.5 * self._period[view.other])
        return self._heard_at[view] > float("-inf") and now - self._heard_at[view] <= silence

    def _match(self, frame: A) -> list[Outcome[A]]:
        """Decide what can be decided now that this frame is here."""
        waiting, decided = self._waiting, list[Outcome[A]]()
        if not waiting or waiting[0].view is frame.view:
            waiting.append(frame)
            return decided
        while waiting and waiting[0].captured_at < frame.captured_at - self.tolerance:
            decided.append(self._alone(waiting.popleft(), frame.arrived_at))
        while len(waiting) > 1 and _distance(waiting[1], frame) < _distance(waiting[0], frame):
            decided.append(self._alone(waiting.popleft(), frame.arrived_at))
        if not waiting:
            waiting.append(frame)
        elif waiting[0].captured_at > frame.captured_at + self.tolerance:
            decided.append(self._alone(frame, frame.arrived_at))
        else:
            partner = waiting.popleft()
            self._alone_in_a_row = 0
            for each in (frame, partner):
                self._late_until[each.view] = max(self._late_until[each.view], each.captured_at)
            left, right = (frame, partner) if frame.view is View.LEFT else (partner, frame)
            decided.append(Paired(left, right))
        return decided

    def _alone(self, frame: A, now: float | None = None) -> Single[A]:
        """Release a frame; its partner, should it still come, is late. now: seconds; None awaits no partner"""
        self._alone_in_a_row += 1
        hoped_for = now is not None and self._expected(frame.view.other, now)
        awaited = hoped_for and self._alone_in_a_row <= NEVER_PAIRS
        own, other = frame.view, frame.view.other
        self._late_until[own] = max(self._late_until[own], frame.captured_at)
        self._late_until[other] = max(self._late_until[other], frame.captured_at + self.tolerance)
        return Single(frame, awaited)


def _distance(one: Arrival, other: Arrival) -> float:
    return abs(one.captured_at - other.captured_at)
