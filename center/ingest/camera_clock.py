"""What a camera's clock says, told on our clock."""

from collections import deque
from typing import Final

PLAINLY_APART: Final = 1.0
"""Seconds. Less than this may be delay; it is left to the pairer's tolerance and to NTP or PTP."""

STEP: Final = 0.05
"""Seconds. Frames come in order of capture: one captured that much before the last one tells of a clock set back."""

_SETTLED: Final = 1.0
"""Seconds for which every frame must come from the future before a small difference counts as a wrong clock."""

_WATCHED: Final = 10.0
"""Seconds over which the shortest way here is looked for."""


class CameraClock:
    """Corrects a camera's capture times when its clock is plainly wrong; no clock of its own.

    Without this, a camera whose clock is an hour off would only send frames that are an hour late. A gap is
    taken for a wrong clock where it cannot be delay: the Hello and the first frame show the same one, a frame
    comes from the future, or from before the frame that came before it. Where the clock was set while
    frames flow, the delay of the frame before is taken for this one's, so that pairs stay pairs. A clock that was
    corrected once is watched more closely: when it is put right again, a smaller step tells.

    Delay cannot be negative, so a clock that is ahead by less, or gains on ours, is found too: after a second in which
    every frame came from the future, the fastest of them is taken to have come at once. A clock that falls behind ours
    looks like delay to one who only receives; `gap` shows it.

    hello_gap  our time minus the camera's at its Hello, seconds
    """

    def __init__(self, hello_gap: float) -> None:
        self.offset = 0.0
        self._hello_gap = hello_gap
        self._seen = False
        self._last = 0.0  # captured_at of the frame before
        self._delay = 0.0  # its way here, seconds
        self._gaps: deque[tuple[float, float]] = deque()  # (arrived_at, gap), gaps rising: the first is the smallest
        self._future: tuple[float, float] | None = None  # since when all frames come from the future; their least delay

    @property
    def gap(self) -> float:
        """Our clock minus the camera's and the shortest way here, over the last ten seconds; NaN before a frame."""
        return self._gaps[0][1] if self._gaps else float("nan")

    def correct(self, captured_at: float, arrived_at: float) -> float:
        """The time of capture on our clock, never more than a second after the arrival.

        captured_at  on the camera's clock, seconds; of a frame that counts on from the one before
        arrived_at   on ours, seconds
        """
        gap = arrived_at - captured_at
        if not self._seen:
            self._seen = True
            if abs(self._hello_gap) > PLAINLY_APART and abs(gap - self._hello_gap) < PLAINLY_APART:
                self.offset = self._hello_gap
        elif captured_at < self._last - STEP:
            self.offset = gap - self._delay
        if gap - self.offset < -(STEP if self.offset else PLAINLY_APART):
            self.offset = gap - self._delay
        elif self.offset and 0.0 <= gap < PLAINLY_APART < gap - self.offset:
            self.offset = 0.0  # what would be a long delay of a wrong clock is a short one of a right clock
        self._watch(gap, arrived_at)
        self._last, self._delay = captured_at, max(0.0, gap - self.offset)
        return captured_at + self.offset

    def _watch(self, gap: float, arrived_at: float) -> None:
        """Remember the smallest gap, and correct a clock whose frames all come from the future."""
        while self._gaps and (self._gaps[-1][1] >= gap or self._gaps[-1][0] > arrived_at):
            self._gaps.pop()
        self._gaps.append((arrived_at, gap))
        while self._gaps[0][0] < arrived_at - _WATCHED:
            self._gaps.popleft()
        delay = gap - self.offset
        if delay >= -STEP:
            self._future = None
            return
        since, least = self._future or (arrived_at, delay)
        self._future = (since, min(least, delay))
        if arrived_at - since >= _SETTLED:
            self.offset += self._future[1]
            self._future = None
