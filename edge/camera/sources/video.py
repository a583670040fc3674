"""A video file, looped."""

import logging
from pathlib import Path
from typing import Final

import cv2

from edge.camera.sources.base import Picture, to_rgb
from wire.runtime.errors import UserError

_log = logging.getLogger("edge")
_STEP: Final = 30


class Video:
    """Frames of one file; tick k shows number k modulo their count."""

    def __init__(self, path: str) -> None:
        self._path = Path(path).expanduser()
        self._capture: cv2.VideoCapture | None = None
        self._count = 0
        self._next = 0
        self.name = f"video {self._path}"

    def open(self) -> None:
        if not self._path.is_file():
            raise UserError("there is no such file; set camera.path to a video")
        self.close()
        self._capture = cv2.VideoCapture(str(self._path))
        self._next = 0
        self._count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)) if self._capture.isOpened() else 0
        if self._count <= 0:
            self.close()
            raise UserError("cannot be read as a video; check it with ffprobe, or convert it to MP4")

    def picture(self, tick: int) -> Picture:
        index = tick % self._count
        picture = self._read(index)
        if picture is None and index > 0:
            _log.warning("%s: frame %d of %d cannot be read; looping over those before", self.name, index, self._count)
            self._count = index
            picture = self._read(tick % self._count)
        if picture is None:
            raise UserError("cannot be read any more; check the file")
        return picture

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def _read(self, index: int) -> Picture | None:
        """A frame; steps forward where that is near, seeks where it is not."""
        if self._capture is None:
            return None
        if not 0 <= index - self._next < _STEP:
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, index)
            self._next = index
        while self._next <= index:
            self._next += 1
            if not self._capture.grab():
                return None
        readable, picture = self._capture.retrieve()
        return to_rgb(picture) if readable else None
