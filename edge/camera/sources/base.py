"""What a source is, and how a clip is bound to the wall clock."""

import threading
import time
from collections.abc import Callable
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.camera.frame_clock import FrameClock
from edge.camera.framing import Fit, fit
from wire.runtime.errors import FrameError, UserError

Picture = NDArray[np.uint8]
"""RGB, uint8 [rows, columns, 3]."""

Wanted = Callable[[int], bool]
"""Says of a capture time (Unix, ns) whether its picture is of use. A source asks once for each picture that it could
give, in their order, and before it makes it: to draw, to decode or to convert one may take longer than a period."""


def every_picture(captured_at_ns: int) -> bool:
    """The `Wanted` of who can use all."""
    return True


class SkippedFrame(UserError):
    """One frame or file could not be read or decoded; the source goes on with the next one.

    about: what it is told about, such as a file: each is told once
    """

    def __init__(self, about: str, line: str) -> None:
        super().__init__(line)
        self.about = about


class CameraRefused(UserError):
    """A camera does not let this user in: quick tries may lock the user out."""


class Source(Protocol):
    """A camera, as the capture thread sees it. Any method may raise UserError; the camera may be opened again then."""

    name: str
    patient: bool
    """Whether the daemon starts although this camera does not answer yet: a network camera may boot after us."""

    @property
    def loop_s(self) -> float:
        """Seconds after which what it shows starts over; 0 for what never does, and while it is not open."""

    def open(self) -> None:
        """Connect, and make sure that a picture can be had."""

    def next(self, stop: threading.Event) -> tuple[int, Picture] | None:
        """Block until the next picture that is wanted.

        returns  its capture time (Unix, ns) and it, or None once `stop` is set
        raises   SkippedFrame if it cannot be shown and the next one may be
        """

    def close(self) -> None:
        """Let go of the camera. May be called twice."""


class Footage(Protocol):
    """Pictures that can be had for any tick."""

    name: str

    def open(self) -> None:
        """raises UserError if there is nothing to show"""

    def picture(self, tick: int) -> Picture:
        """The picture of one tick, the same whenever it is asked for. raises SkippedFrame if it cannot be read"""

    def loop_s(self, ticks: FrameClock) -> float:
        """Seconds after which it starts over; 0 if it never does, and while it is not open."""

    def close(self) -> None:
        """Let go of files. May be called twice."""


class Clocked:
    """Footage as a camera whose shutter is the wall clock: at tick k it takes picture k."""

    patient = False

    def __init__(
        self,
        footage: Footage,
        ticks: FrameClock,
        clock_ns: Callable[[], int] = time.time_ns,
        delay_ms: float = 0.0,
        fit: Fit = fit,
        wanted: Wanted = every_picture,
    ) -> None:
        """delay_ms: taken off the capture time, so that a clock that is off can be tried out.
        fit: brings pictures to the size that is sent."""
        self.name = footage.name
        self._footage, self._ticks, self._clock_ns, self._fit = footage, ticks, clock_ns, fit
        self._wanted = wanted
        self._delay_ns = round(delay_ms * 1e6)
        self._last: int | None = None

    @property
    def loop_s(self) -> float:
        return self._footage.loop_s(self._ticks)

    def open(self) -> None:
        self._footage.open()

    def next(self, stop: threading.Event) -> tuple[int, Picture] | None:
        while (tick := self._wait(stop)) is not None:
            captured_at = self._ticks.time_ns(tick) - self._delay_ns
            if self._wanted(captured_at):
                return captured_at, self._picture(tick)
        return None

    def close(self) -> None:
        self._footage.close()

    def _wait(self, stop: threading.Event) -> int | None:
        """Until the next tick, which is returned; None once `stop` is set."""
        now = self._clock_ns()
        tick = self._ticks.after(now, self._last)
        if stop.wait((self._ticks.time_ns(tick) - now) / 1e9):
            return None
        self._last = tick
        return tick

    def _picture(self, tick: int) -> Picture:
        picture = self._footage.picture(tick)
        try:
            return self._fit(picture)
        except FrameError as error:
            raise SkippedFrame(str(error), f"{self.name}: {error}; skipped") from None


def to_rgb(picture: object) -> Picture:
    """OpenCV's blue-first picture, red first. A grey one passes unchanged and is refused by `edge.camera.framing`."""
    array: Picture = np.asarray(picture)
    if array.ndim != 3 or array.shape[2] != 3:
        return array
    return np.asarray(cv2.cvtColor(array, cv2.COLOR_BGR2RGB), array.dtype)
