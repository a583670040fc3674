"""A drawn stereo scene that moves: for tests, for rooms without a camera, and free of any licence.

A wall and a ground in perspective with boxes and balls at different depths, seen by two cameras that glide
sideways. Everything at disparity d >= 0 lies d columns further right in the left view, as on a rectified
rig, and moves in proportion to d, as parallax wants it.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.camera.frame_clock import FrameClock
from edge.camera.sources.base import Picture
from wire.geometry import DEFAULT_SIZE, PictureSize
from wire.views import View

_SEED: Final = 2022
# At 128x256; at other sizes all lengths grow with rows or columns.
_HORIZON: Final = 48
_FAR, _NEAR = 2, 18  # disparity of the wall and of the nearest ground, columns
_PAN: Final = 1.5  # columns a second for each column of disparity
_SHEET: Final = 512  # texels after which wall and ground repeat, mirrored, in each direction
_BRICK, _GRASS = (120, 130, 160), (110, 125, 85)
_COLOURS: Final = ((170, 80, 60), (60, 110, 170), (190, 160, 60), (90, 150, 90), (150, 90, 150), (200, 200, 200))


@dataclass(frozen=True, slots=True)
class _Thing:
    """Something that stands on the ground. disparity in columns; own speed in columns a second."""

    disparity: int
    speed: float
    start: int
    texture: Picture  # [height, width, 3]
    mask: NDArray[np.bool_]  # [height, width]


class Synthetic:
    """The scene at the time of a tick, as one of the two cameras sees it."""

    name = "synthetic scene"

    def __init__(self, view: View, ticks: FrameClock, size: PictureSize = DEFAULT_SIZE) -> None:
        """size: of its pictures."""
        self._ticks = ticks
        self._columns = size.columns
        down, across = size.rows / DEFAULT_SIZE.rows, size.columns / DEFAULT_SIZE.columns
        self._horizon = round(_HORIZON * down)
        self._far, self._near = round(_FAR * across), round(_NEAR * across)
        self._is_left = view is View.LEFT
        rng = np.random.default_rng(_SEED)
        self._wall, self._ground = (_endless(_texture(rng, _SHEET, _SHEET, colour)) for colour in (_BRICK, _GRASS))
        # Disparity of each row of ground, [rows, 1].
        self._depth = np.linspace(self._far, self._near, size.rows - self._horizon)[:, None]
        self._haze = self._depth / self._near  # far ground is seen less clearly, and does not flicker
        self._things = [
            _thing(rng, disparity, colour, size)
            for disparity, colour in zip((3, 5, 7, 9, 12, 15), _COLOURS, strict=True)
        ]

    def open(self) -> None:
        """Nothing can be missing."""

    def picture(self, tick: int) -> Picture:
        """RGB, uint8 [rows, columns, 3]."""
        seconds = self._ticks.time_ns(tick) / 1e9
        picture: Picture = np.concatenate([self._draw_wall(seconds), self._draw_ground(seconds)])
        for thing in self._things:  # far to near
            self._draw_thing(picture, thing, seconds)
        return picture

    def loop_s(self, ticks: FrameClock) -> float:
        """It never starts over."""
        return 0.0

    def close(self) -> None:
        """Nothing is open."""

    def _draw_wall(self, seconds: float) -> Picture:
        shift = int(seconds * _PAN * self._far) - (self._far if self._is_left else 0)
        columns = (np.arange(self._columns) + shift) % self._wall.shape[1]
        return self._wall[: self._horizon, columns]

    def _draw_ground(self, seconds: float) -> Picture:
        """A plane in perspective: a texel is d/18 columns wide in a row of disparity d."""
        columns = np.arange(self._columns)[None, :] - (self._depth if self._is_left else 0.0)
        glided = seconds * _PAN * self._near
        across = ((columns - self._columns / 2) * self._near / self._depth + glided) % self._ground.shape[1]
        ahead = np.broadcast_to(self._near**2 / self._depth, across.shape)
        seen = cv2.remap(
            self._ground, across.astype(np.float32), ahead.astype(np.float32), cv2.INTER_LINEAR, None, cv2.BORDER_WRAP
        )
        grey = np.array(_GRASS)
        hazy: Picture = (grey + (seen - grey) * self._haze[:, :, None]).astype(np.uint8)
        return hazy

    def _draw_thing(self, picture: Picture, thing: _Thing, seconds: float) -> None:
        """Draw in place. The thing leaves on one side and comes back on the other."""
        height, width = thing.mask.shape
        track = self._columns + width + self._near
        at = int(thing.start + seconds * (thing.speed - _PAN * thing.disparity)) % track - width - self._near
        at += thing.disparity if self._is_left else 0
        foot = self._horizon + int(np.searchsorted(self._depth[:, 0], thing.disparity))
        first, last = max(at, 0), min(at + width, self._columns)
        if first < last:
            mask = thing.mask[:, first - at : last - at]
            picture[foot - height : foot, first:last][mask] = thing.texture[:, first - at : last - at][mask]


def _thing(rng: np.random.Generator, disparity: int, colour: tuple[int, int, int], size: PictureSize) -> _Thing:
    """A box or a ball; nearer ones are larger. disparity: at 128x256"""
    down, across = size.rows / DEFAULT_SIZE.rows, size.columns / DEFAULT_SIZE.columns
    tall = 16 + 3 * disparity
    height, width = round(tall * down), round((tall if disparity % 2 else tall * 3 // 2) * across)
    rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    mask = rows**2 + columns**2 <= 1 if disparity % 2 else np.ones((height, width), bool)
    texture = _texture(rng, height, width, colour)
    speed, start = float(rng.uniform(-30, 30)) * across, int(rng.integers(size.columns))
    return _Thing(round(disparity * across), speed, start, texture, mask)


def _texture(rng: np.random.Generator, height: int, width: int, colour: tuple[int, int, int]) -> Picture:
    """Noise at several scales around a colour, mostly light and dark. [height, width, 3]"""
    noise = np.zeros((height, width, 3), np.float32)
    for cell in (32, 16, 8, 4):
        grid = rng.normal(size=(height // cell + 2, width // cell + 2, 1)) + rng.normal(scale=0.3, size=(1, 1, 3))
        noise += cv2.resize(grid.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(np.array(colour) + 18 * noise, 0, 255), np.uint8)


def _endless(texture: Picture) -> Picture:
    """A texture beside and above its mirror images, so that it repeats without a seam."""
    wide = np.concatenate([texture, texture[:, ::-1]], axis=1)
    return np.concatenate([wide, wide[::-1]], axis=0)
