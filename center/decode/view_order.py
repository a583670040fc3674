"""Whether left is left: the sign of the disparity between the views of decoded pairs."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

_TILE: Final = (16, 32)
_FARTHEST: Final = 24
"""Largest disparity that is looked for, pixels of a picture 256 to 511 wide; wider ones are made smaller first."""
_WIDE: Final = 256
_TEXTURE: Final = 4.0
"""Standard deviation of a tile's grey levels, at least: nothing can be matched in a plain sky."""
_DISTINCT: Final = 0.7
"""The best match of a tile is this much better than at no disparity, at least."""

SWAPPED: Final = "left and right look swapped: things lie farther left in the left picture; exchange the two cameras"

_VOTES: Final = 5
"""Looks in a row that must show the views swapped; one alone may be of a scene that cannot be matched."""
_TILES: Final = 8
_CLEARLY: Final = 4
"""Tiles for one order, at least, and so many times those for the other."""
_AGAIN: Final = (1.0, 60.0)
"""Seconds until the next look: after one that shows the views swapped, and after the order was clearly right. In doubt
it doubles from the one to the other: a scene that cannot be matched now cannot be in a second either."""


class ViewOrder:
    """Counts what looks at the decoded pairs of one rig have shown; no clock, no thread."""

    def __init__(self) -> None:
        self._votes = 0
        self._wait = _AGAIN[0]
        self.look_at = -math.inf
        """When to look next, seconds."""

    @property
    def swapped(self) -> bool:
        """Whether every look of late has shown left and right exchanged."""
        return self._votes >= _VOTES

    def vote(self, in_order: int, exchanged: int, now: float) -> None:
        """One look. in_order, exchanged: tiles that speak for either; now: seconds"""
        if exchanged >= max(_TILES, _CLEARLY * in_order):
            self._votes += 1
            self._wait = _AGAIN[0]
        elif in_order >= max(_TILES, _CLEARLY * exchanged):
            self._votes = 0
            self._wait = _AGAIN[1]
        self.look_at = now + self._wait
        self._wait = min(2.0 * self._wait, _AGAIN[1])


def count_tiles(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> tuple[int, int]:
    """How many tiles of the left picture lie farther right, and farther left, than in the right picture.

    In a rectified pair everything lies farther right in the left picture, by its disparity. 3 ms.

    left, right  uint8 [rows, columns, 3], of one size, 128x256 at least
    returns      tiles of positive disparity, as it should be; tiles of negative disparity
    """
    a, b = (_green(picture) for picture in (left, right))
    rows, columns = _TILE
    width = (a.shape[1] - 2 * _FARTHEST) // columns * columns
    inner = slice(_FARTHEST, _FARTHEST + width)

    def tiles(plane: NDArray[np.float32]) -> NDArray[np.float32]:
        return plane.reshape(plane.shape[0] // rows, rows, width // columns, columns).swapaxes(1, 2)

    middle = a[:, inner]
    textured = tiles(middle).std(axis=(2, 3)) >= _TEXTURE
    shifts = np.arange(-_FARTHEST, _FARTHEST + 1)
    costs = np.stack([tiles((middle - b[:, inner.start - s : inner.stop - s]) ** 2).mean(axis=(2, 3)) for s in shifts])
    best = shifts[costs.argmin(axis=0)]
    clear = textured & (costs.min(axis=0) < _DISTINCT * costs[_FARTHEST])
    return int((clear & (best > 0)).sum()), int((clear & (best < 0)).sum())


def _green(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Its green, float32 [rows, columns]: made smaller by a whole number, and cut to whole tiles."""
    shrink = picture.shape[1] // _WIDE
    rows, columns = picture.shape[0] // (shrink * _TILE[0]) * _TILE[0], picture.shape[1] // shrink
    green = picture[: rows * shrink, : columns * shrink, 1].astype(np.float32)
    if shrink == 1:
        return green
    small: NDArray[np.float32] = green.reshape(rows, shrink, columns, shrink).mean(axis=(1, 3))
    return small
