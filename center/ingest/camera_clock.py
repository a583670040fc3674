"""What a camera's clock says, told on our clock."""

from typing import Final

PLAINLY_APART: Final = 1.0
"""Seconds. Less than this may be delay; it is left to the pairer's tolerance and to NTP or PTP."""

STEP: Final = 0.05
"""Seconds. Frames come in order of capture: one captured that much before the last one tells of a clock set back."""


class CameraClock:
    """Corrects a camera's capture times when its clock is plainly wrong; no clock of its own.

    Without this, a camera whose clock is an hour off would only send frames that are an hour late. A gap is
    taken for a wrong clock where it cannot be delay: the Hello and the first frame show the same one, a frame
    comes from the future, or from before the frame that came before it. Where the clock was set while
    frames flow, the delay of the frame before is taken for this one's, so that pairs stay pairs. A clock that was
    corrected once is watched more closely: when it is put right again, a smaller step tells.

    hello_gap  our time minus the camera's at its Hello, seconds
    """

    def __init__(self, hello_gap: float) -> None:
        self.offset = 0.0
        self._hello_gap = hello_gap
        self._seen = False
        self._last = 0.0  # captured_at of the frame before
        self._delay = 0.0  # its way here, seconds

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
        self._last, self._delay = captured_at, max(0.0, gap - self.offset)
        return captured_at + self.offset
