"""The capture thread: reads one camera, keeps the newest picture, and outlives every failure of the camera."""

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2

from edge.camera.framing import Fit, fit
from edge.camera.newest import NewestSlot
from edge.camera.sources import CameraRefused, Picture, SkippedFrame, Source
from edge.metrics import Metrics
from wire.runtime.errors import UserError, cause
from wire.runtime.log_throttle import OnChange
from wire.runtime.retry import Backoff

_log = logging.getLogger("edge")

REOPEN_FIRST: Final = 0.25
REOPEN_CAP: Final = 2.0
REFUSED_SECONDS: Final = 30.0
"""Between tries with a password that a camera refuses: many lock the user out after a handful of quick ones."""
_JOIN_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class CapturedFrame:
    """One picture, ready to be encoded.

    picture         RGB, uint8 [rows, columns, 3], of the size that is sent
    captured_at_ns  Unix time in nanoseconds
    capture_us      from the capture until the picture was ready, microseconds
    """

    picture: Picture
    captured_at_ns: int
    capture_us: int


class Camera:
    """Runs a source in a thread of its own. The newest shot waits in a slot; older ones are skipped."""

    def __init__(
        self,
        source: Source,
        metrics: Metrics,
        on_frame: Callable[[], object],
        on_skip: Callable[[], object],
        silence_s: float = 3.0,
        fit: Fit = fit,
    ) -> None:
        """on_frame, on_skip: called in the capture thread for a new shot, and for one that nobody took in time.
        silence_s: a camera without a picture for so many seconds counts as down, even one that hangs.
        fit: brings a picture to the size that is sent."""
        self._source, self._metrics = source, metrics
        self._on_frame, self._on_skip = on_frame, on_skip
        self._fit = fit
        self._slot: NewestSlot[CapturedFrame] = NewestSlot()
        self._stop = threading.Event()
        self._backoff = Backoff(REOPEN_FIRST, REOPEN_CAP, random.Random())
        self._said = OnChange(_log)
        self._told: set[str] = set()
        self._opened = False
        self._silence, self._newest = silence_s, time.monotonic()
        self._thread = threading.Thread(target=self._work, name="camera", daemon=True)
        self._watch = threading.Thread(target=self._watch_silence, name="camera-watch", daemon=True)

    def start(self) -> None:
        """Open the camera and start the thread.

        raises  UserError if it does not answer, unless it is a network camera, which is waited for
        """
        if not self._source.patient:
            try:
                self._open()
            except UserError as problem:
                raise UserError(f"{self._source.name}: {problem}") from None
        self._thread.start()
        self._watch.start()

    def stop(self) -> None:
        """End the thread; a camera that hangs is left behind."""
        self._stop.set()
        for thread in (self._thread, self._watch):
            if thread.is_alive():
                thread.join(_JOIN_SECONDS)

    def passed_over(self, captured_at_ns: int) -> None:
        """The source has a picture that nobody wants, and did not make it. Called in the capture thread.

        captured_at_ns: Unix time in nanoseconds
        """
        self._newest = time.monotonic()
        self._metrics.passed_over(captured_at_ns / 1e9)

    def take(self) -> CapturedFrame | None:
        """The newest shot, once."""
        return self._slot.take()

    def _open(self) -> None:
        self._source.open()
        self._newest = time.monotonic()
        self._opened = True

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                if not self._opened:
                    self._open()
                self._capture()
            except CameraRefused as refusal:
                self._fail(str(refusal))
                self._stop.wait(REFUSED_SECONDS)
            except (UserError, cv2.error) as problem:
                self._fail(str(problem).splitlines()[0])
                self._stop.wait(self._backoff.next())
            except OSError as error:  # FFmpeg's text would show the camera's address
                self._fail(f"failed ({cause(error)}); opening it again")
                self._stop.wait(self._backoff.next())
            except Exception as error:  # a thread that ends would leave a daemon without a camera
                self._fail(f"failed in an unexpected way ({type(error).__name__}); opening it again")
                self._stop.wait(self._backoff.next())
        self._source.close()

    def _capture(self) -> None:
        """Deliver shots until stopped. raises what the source raises"""
        while not self._stop.is_set():
            try:
                taken = self._source.next(self._stop)
            except SkippedFrame as skipped:
                self._skip(skipped)
                continue
            if taken is None or self._stop.is_set():
                return
            captured_at_ns, picture = taken
            fitted = self._fit(picture)
            shot = CapturedFrame(fitted, captured_at_ns, max(0, (time.time_ns() - captured_at_ns) // 1000))
            if self._slot.put(shot) is not None:
                self._on_skip()
            self._newest = time.monotonic()
            self._backoff.reset()
            self._said.log(logging.INFO, "up", f"{self._source.name}: up")
            self._metrics.captured(captured_at_ns / 1e9, shot.capture_us / 1e6)
            self._on_frame()

    def _fail(self, line: str) -> None:
        self._opened = False
        self._source.close()
        self._metrics.camera_failed()
        self._said.log(logging.WARNING, line, f"{self._source.name}: {line}")

    def _skip(self, skipped: SkippedFrame) -> None:
        """Count a frame that cannot be shown, and tell once what is wrong with its file or camera."""
        self._metrics.undecodable()
        if skipped.about not in self._told:
            self._told.add(skipped.about)
            _log.warning("%s", skipped)

    def _watch_silence(self) -> None:
        """Say that a camera hangs which neither delivers nor fails."""
        while not self._stop.wait(self._silence / 10):
            if self._opened and time.monotonic() - self._newest > self._silence:
                self._metrics.camera_stalled()
                line = f"no picture for {self._silence:.1f} s; waiting for the camera (camera.stall_s)"
                self._said.log(logging.WARNING, "silent", f"{self._source.name}: {line}")
