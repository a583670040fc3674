"""Cameras of this host, through OpenCV."""

import threading
import time
from collections.abc import Callable

import cv2

from edge.camera.frame_clock import FrameRateLimiter
from edge.camera.framing import Fit, fit
from edge.camera.sources.base import Picture, Wanted, every_picture, to_rgb
from wire.runtime.errors import UserError


class Webcam:
    """A camera with a pace of its own. Every frame is fetched, so that none waits in a buffer; at most `fps` go on."""

    patient = False
    loop_s = 0.0

    def __init__(
        self,
        name: str,
        connect: Callable[[], cv2.VideoCapture],
        fps: float,
        delay_ms: float,
        fit: Fit = fit,
        wanted: Wanted = every_picture,
    ) -> None:
        """connect: opens the camera; delay_ms: from the shutter to here, taken off the capture time.
        fit: brings pictures to the size that is sent; here it looks whether the first one is large enough."""
        self.name = name
        self._fit, self._wanted = fit, wanted
        self._connect = connect
        self._delay_ns = round(delay_ms * 1e6)
        self._limiter = FrameRateLimiter(fps)
        self._capture: cv2.VideoCapture | None = None

    def open(self) -> None:
        self.close()
        self._capture = self._connect()
        if not self._capture.isOpened():
            self.close()
            raise UserError("no answer; check that it is connected, switched on and not used by another program")
        self._grab()
        self._fit(self._retrieve())

    def next(self, stop: threading.Event) -> tuple[int, Picture] | None:
        while not stop.is_set():
            captured_at = self._grab()
            if self._limiter.accepts(captured_at / 1e9) and self._wanted(captured_at):
                return captured_at, self._retrieve()
        return None

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def _grab(self) -> int:
        """Wait for a frame; returns its capture time, Unix time in nanoseconds."""
        if self._capture is None or not self._capture.grab():
            raise UserError("delivers no pictures; opening it again")
        return time.time_ns() - self._delay_ns

    def _retrieve(self) -> Picture:
        """Decode the frame that was grabbed."""
        if self._capture is not None:
            readable, picture = self._capture.retrieve()
            if readable:
                return to_rgb(picture)
        raise UserError("delivers pictures that cannot be decoded; opening it again")


def webcam(device: int | str, fps: float, delay_ms: float, fit: Fit = fit, wanted: Wanted = every_picture) -> Webcam:
    """A camera of this host by number, or by path such as /dev/video0."""

    def connect() -> cv2.VideoCapture:
        backend = cv2.CAP_V4L2 if isinstance(device, str) and device.startswith("/dev/") else cv2.CAP_ANY
        capture = cv2.VideoCapture(device, backend)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        capture.set(cv2.CAP_PROP_FPS, fps)
        return capture

    return Webcam(f"webcam {device}", connect, fps, delay_ms, fit, wanted)
