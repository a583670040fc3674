"""A mark in a picture that says whose it is and when it was taken, and that survives a noisy link.

Who watches the far end of the system can so tell for certain whether a picture is what it claims to be: of that rig,
that view and that instant. Used by the drills of `vergence bench faults`; a mark covers the top of the picture.
"""

import hashlib
import zlib
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.camera.frame_clock import FrameClock
from edge.camera.sources.base import Footage, Picture
from wire.views import View

_COLUMNS: Final = 16
"""Bits side by side: a sixteenth of a picture's columns, and an eighth of its rows, are one bit's block."""
_RIG_BITS, _TICK_BITS, _CHECK_BITS = 16, 31, 16
_ROWS: Final = (_RIG_BITS + 1 + _TICK_BITS + _CHECK_BITS) // _COLUMNS
_BANDS: Final = 8
_DARK, _LIGHT = 48, 208
_EDGE: Final = 8
"""A block's border, as a share of its side, that is not looked at."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a picture says of itself. rig: 16 bits of a hash of the rig's name; tick: modulo 2^31."""

    rig: int
    view: View
    tick: int

    @staticmethod
    def of(rig: str, view: View, tick: int) -> "Mark":
        """The mark of one picture. tick: of the camera's FrameClock"""
        return Mark(int.from_bytes(hashlib.sha256(rig.encode()).digest()[:2]), view, tick % 2**_TICK_BITS)


class Watermarked:
    """Footage with a mark in every picture."""

    def __init__(self, footage: Footage, rig: str, view: View) -> None:
        self.name = f"{footage.name}, marked"
        self._footage, self._rig, self._view = footage, rig, view

    def open(self) -> None:
        self._footage.open()

    def picture(self, tick: int) -> Picture:
        """RGB, uint8 [rows, columns, 3]."""
        return stamp(self._footage.picture(tick), Mark.of(self._rig, self._view, tick))

    def loop_s(self, ticks: FrameClock) -> float:
        return self._footage.loop_s(ticks)

    def close(self) -> None:
        self._footage.close()


def stamp(picture: Picture, mark: Mark) -> Picture:
    """A copy with the mark in its top rows: a block for each bit, light for 1.

    picture  uint8 [rows, columns, 3], multiples of 16
    """
    high, wide = _block(picture)
    bits = np.array(_bits(mark), np.uint8).reshape(_ROWS, _COLUMNS)
    blocks = np.where(bits, _LIGHT, _DARK).astype(np.uint8).repeat(high, 0).repeat(wide, 1)
    stamped = picture.copy()
    stamped[: _ROWS * high] = blocks[:, :, None]
    return stamped


def read(picture: NDArray[np.uint8]) -> Mark | None:
    """The mark of a picture that has crossed a link; None if there is none, or none that its checksum confirms.

    A picture without a mark passes for one once in 65,536 times.

    picture  uint8 [rows, columns, 3], multiples of 16
    """
    high, wide = _block(picture)
    grey = picture[: _ROWS * high].astype(np.float32).mean(axis=2)
    down, across = high // _EDGE, wide // _EDGE
    inner = grey.reshape(_ROWS, high, _COLUMNS, wide)[:, down:-down, :, across:-across].mean(axis=(1, 3))
    word = int("".join("1" if bright else "0" for bright in inner.reshape(-1) > (_DARK + _LIGHT) / 2), 2)
    body, check = word >> _CHECK_BITS, word % 2**_CHECK_BITS
    if check != _check(body):
        return None
    view = View.RIGHT if body >> _TICK_BITS & 1 else View.LEFT
    return Mark(body >> (_TICK_BITS + 1), view, body % 2**_TICK_BITS)


def _block(picture: NDArray[np.uint8]) -> tuple[int, int]:
    """Rows and columns of one bit, 16 and 16 at 128x256."""
    return picture.shape[0] // _BANDS, picture.shape[1] // _COLUMNS


def _bits(mark: Mark) -> list[int]:
    body = (mark.rig << 1 | mark.view.position) << _TICK_BITS | mark.tick
    word = body << _CHECK_BITS | _check(body)
    return [int(bit) for bit in f"{word:0{_ROWS * _COLUMNS}b}"]


def _check(body: int) -> int:
    return zlib.crc32(body.to_bytes(8)) & (1 << _CHECK_BITS) - 1
