"""What a camera's clock says, told on our clock."""

import math
from collections import deque
from typing import Final

PLAINLY_APART: Final = 1.0
"""Seconds. At a Hello less than this may be delay; it is left to the pairer's tolerance and to NTP or PTP."""

STEP: Final = 0.05
"""Seconds. A camera's frames come in order of capture, and none before its capture: what contradicts that by more than
this tells of a clock that was set."""

MOST_DRIFT: Final = 300e-6
"""Seconds a second by which two clocks are believed to part; quartz without NTP stays below 100e-6."""

_SETTLED: Final = 1.0
"""Seconds for which every frame must come from the future before a small difference counts as a wrong clock, and for
which the shortest way is looked for after a clock was set."""

_WINDOW: Final = 10.0
"""Seconds over which the shortest way here is looked for."""

_ENOUGH: Final = 8
"""Frames of a window, at least."""

_USUAL_PERIOD: Final = 1 / 30


class CameraClock:
    """Corrects a camera's capture times when its clock is wrong; no clock of its own.

    Without this, a camera whose clock is an hour off would only send frames that are an hour late. Who only receives
    cannot tell delay from a wrong clock at sight. But delay is never negative, frames come in the order of their
    capture, and a frame that used the credit of our answer was not captured long before that answer. What contradicts
    one of these is a clock that was set; the shortest way here stays what it was, so that pairs stay pairs.

    Where nothing contradicts, a good clock is believed. Drift is followed by the shortest way here, window by window:
    if it changes a little, the clocks drift; if it changes abruptly, the way here has become another one.

    source  one-way offset estimation by minimum delay, as in V. Paxson, "On calibrating measurements of packet transit
            times" (SIGMETRICS 1998)

    hello_gap  our time minus the camera's at its Hello, seconds
    period     seconds from frame to frame; what is far below it cannot part a pair
    """

    def __init__(self, hello_gap: float, period: float = _USUAL_PERIOD) -> None:
        self.offset = 0.0
        """Ours minus the camera's, seconds."""
        self.steps = 0
        """How often the camera's clock was found to be set."""
        self._hello_gap = hello_gap
        self._slack = 0.5 + 2.0 * period
        self._jump = max(0.01, 0.2 * period)
        self._began: float | None = None
        self._last = 0.0  # captured_at of the frame before
        self._floor = math.inf  # the shortest way here, seconds; below 0 where a believed clock is a little ahead
        self._learning_until = 0.0
        self._window = (0.0, 0, math.inf)  # since when, its frames, and the smallest way of them
        self._settling_until = -math.inf
        self._gaps: deque[tuple[float, float]] = deque()  # (arrived_at, gap), gaps rising: the first is the smallest
        self._future: tuple[float, float] | None = None  # since when all frames come from the future; their least delay
        self._known = False  # whether the shortest way has been looked for long enough
        self._too_old = 0  # frames in a row that claim to be older than the credit that they used

    @property
    def gap(self) -> float:
        """Our clock minus the camera's and the shortest way here, over the last ten seconds; NaN before a frame."""
        return self._gaps[0][1] if self._gaps else float("nan")

    @property
    def way(self) -> float:
        """The shortest way here from capture, by the clock as it is believed, seconds; NaN before it is known."""
        return self._floor if self._known else float("nan")

    def correct(
        self, captured_at: float, arrived_at: float, before: float = 0.0, not_before: float = -math.inf
    ) -> float:
        """The time of capture on our clock, never more than a second after the arrival.

        captured_at  on the camera's clock, seconds; of a frame that counts on from the one before
        arrived_at   on ours, seconds
        before       how long the frame was in the stages that it tells of, seconds; so the way here counts without them
        not_before   when we gave the credit that the frame used, seconds on our clock
        """
        gap = arrived_at - captured_at
        way = gap - min(before, max(gap - self.offset, 0.0))  # what a frame says cannot make its way negative
        if self._began is None:
            self._began = arrived_at
            self._greet(gap, arrived_at)
        elif self._was_set(captured_at, gap, way - self.offset, arrived_at, not_before):
            self._follow_step(way, arrived_at)
        elif self.offset < -PLAINLY_APART < 0.0 <= gap < PLAINLY_APART < gap - self.offset:
            # What would be a long delay of a wrong clock is a short one of a right clock.
            self._restart(0.0, arrived_at)
        if arrived_at < self._settling_until:
            self.offset = min(self.offset, way - self._floor)
        self._watch_gap(gap, arrived_at)
        self._watch_future(way, arrived_at)
        self._follow_drift(way, arrived_at)
        self._last = captured_at
        self._known |= arrived_at - self._began >= _SETTLED
        return captured_at + self.offset

    def _greet(self, gap: float, arrived_at: float) -> None:
        """The first frame: a difference that the Hello showed too is the clock's.

        Both were delayed, and delay is never negative: a clock that is behind is so by the smaller gap at most. A Hello
        alone may have waited for a center or an emulator that stood still.
        """
        least = min(self._hello_gap, gap)
        apart = abs(least) > PLAINLY_APART and abs(gap - self._hello_gap) < PLAINLY_APART
        self._restart(least if apart or gap < -PLAINLY_APART else 0.0, arrived_at)

    def _was_set(self, captured_at: float, gap: float, delay: float, arrived_at: float, not_before: float) -> bool:
        """Whether this frame contradicts what is known. delay: its way here by what is known, seconds."""
        if captured_at < self._last - STEP:
            return True
        sure = self._known or abs(self.offset) > PLAINLY_APART
        if delay < min(self._floor, 0.0) - (STEP if sure else PLAINLY_APART):
            return True
        floor = 0.0 if math.isinf(self._floor) else max(self._floor, 0.0)
        self._too_old = self._too_old + 1 if captured_at + self.offset + floor + self._slack < not_before else 0
        return self._too_old >= 2

    def _follow_step(self, way: float, arrived_at: float) -> None:
        """The clock was set: the way here stays what it was at its shortest."""
        self.steps += 1
        floor = self._floor if math.isfinite(self._floor) else 0.0
        self._restart(way - floor, arrived_at)
        self._floor, self._learning_until = floor, arrived_at
        self._settling_until = arrived_at + _SETTLED

    def _restart(self, offset: float, arrived_at: float) -> None:
        """Begin to learn the way here anew, by another offset."""
        self.offset, self._floor, self._learning_until = offset, math.inf, arrived_at + _WINDOW
        self._window, self._future, self._too_old = (arrived_at, 0, math.inf), None, 0
        self._settling_until = -math.inf

    def _watch_gap(self, gap: float, arrived_at: float) -> None:
        """Remember the smallest gap for the metric."""
        while self._gaps and (self._gaps[-1][1] >= gap or self._gaps[-1][0] > arrived_at):
            self._gaps.pop()
        self._gaps.append((arrived_at, gap))
        while self._gaps[0][0] < arrived_at - _WINDOW:
            self._gaps.popleft()

    def _watch_future(self, way: float, arrived_at: float) -> None:
        """Correct a clock that is a little ahead from the start on: the fastest frame is taken to have come at once."""
        delay = way - self.offset
        if delay >= -STEP:
            self._future = None
            return
        since, least = self._future or (arrived_at, delay)
        self._future = (since, min(least, delay))
        if arrived_at - since >= _SETTLED:
            self._restart(self.offset + self._future[1], arrived_at)

    def _follow_drift(self, way: float, arrived_at: float) -> None:
        """Compare the shortest way of each window with what it was."""
        if arrived_at < self._learning_until:
            self._floor = min(self._floor, way - self.offset)
            self._window = (arrived_at, 0, math.inf)
            return
        since, frames, least = self._window
        self._window = (since, frames + 1, min(least, way))
        if arrived_at - since < _WINDOW or frames < _ENOUGH:
            return
        change = self._window[2] - self.offset - self._floor
        if abs(change) <= self._jump:
            most = MOST_DRIFT * (arrived_at - since)
            self.offset += min(max(change, -most), most)
        elif change < PLAINLY_APART:
            self._floor += change
        self._window = (arrived_at, 0, math.inf)
