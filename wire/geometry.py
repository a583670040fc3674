"""The one place that knows how large a picture may be and how many symbols carry it.

A picture is RGB of a size whose rows and columns are multiples of 16. The encoder halves it three times and keeps
C* = 20 real channels at 1/8 scale; two real channels make one complex channel use. So 128x256 costs
20 x 16 x 32 / 2 = 5120 complex symbols, and the bandwidth ratio of every size is R = k/n = 5120/98304 = 0.0521.
"""

import re
from dataclasses import dataclass
from typing import Final

CHANNELS: Final = 3
DOWNSCALING: Final = 8
LATENT_CHANNELS: Final = 20
STEP: Final = 16
"""Rows and columns are multiples of it: the network halves a picture three times, and the latent once more."""


@dataclass(frozen=True, slots=True, order=True)
class PictureSize:
    """Rows and columns of a picture, in pixels; written 128x256.

    raises  ValueError for a size that no codec takes
    """

    rows: int
    columns: int

    def __post_init__(self) -> None:
        low, high = _SMALLEST, _LARGEST
        fits = low[0] <= self.rows <= high[0] and low[1] <= self.columns <= high[1]
        if not fits or self.rows % STEP or self.columns % STEP:
            raise ValueError(
                f"the size {self.rows}x{self.columns} (rows x columns) cannot be sent; take multiples of {STEP},"
                f" rows {low[0]} to {high[0]}, columns {low[1]} to {high[1]}"
            )

    @classmethod
    def parse(cls, text: str) -> "PictureSize":
        """Read `ROWSxCOLUMNS`. raises ValueError for anything else"""
        found = re.fullmatch(r"([0-9]{1,6})x([0-9]{1,6})", text)
        if found is None:
            raise ValueError(f"'{text[:40]}' is no size; write rows x columns, such as {DEFAULT_SIZE}")
        return cls(int(found[1]), int(found[2]))

    @property
    def latent(self) -> tuple[int, int]:
        """Rows and columns at 1/8 scale."""
        return self.rows // DOWNSCALING, self.columns // DOWNSCALING

    @property
    def symbols(self) -> int:
        """How many complex symbols carry a picture: k."""
        return symbols_of(self.rows, self.columns)

    @property
    def pixels(self) -> int:
        return self.rows * self.columns

    @property
    def weight(self) -> int:
        """As how many pictures of the smallest size it counts where work and room are shared out: its pixels, rounded.

        So a size may have up to half as much again as it counts. What must not exceed a bound asks `most_in`.
        """
        return (2 * self.pixels + _UNIT) // (2 * _UNIT)

    def most_in(self, pictures: int) -> int:
        """How many of this size have no more pixels than so many of the smallest one; 1 at least."""
        return max(1, pictures * _UNIT // self.pixels)

    def fits_in(self, limit: "PictureSize") -> bool:
        """Whether neither its rows nor its columns are more than those of a limit."""
        return self.rows <= limit.rows and self.columns <= limit.columns

    def __str__(self) -> str:
        return f"{self.rows}x{self.columns}"


def symbols_of(rows: int, columns: int) -> int:
    """Complex symbols of a picture of so many rows and columns."""
    return LATENT_CHANNELS * (rows // DOWNSCALING) * (columns // DOWNSCALING) // 2


_SMALLEST: Final = (128, 256)
_LARGEST: Final = (512, 1024)
_UNIT: Final = _SMALLEST[0] * _SMALLEST[1]
"""Pixels."""
DEFAULT_SIZE: Final = PictureSize(*_SMALLEST)
LARGEST_SIZE: Final = PictureSize(*_LARGEST)

HEIGHT: Final = DEFAULT_SIZE.rows
WIDTH: Final = DEFAULT_SIZE.columns
LATENT_HEIGHT: Final = DEFAULT_SIZE.latent[0]
LATENT_WIDTH: Final = DEFAULT_SIZE.latent[1]
SYMBOLS: Final = DEFAULT_SIZE.symbols
BANDWIDTH_RATIO: Final = SYMBOLS / (CHANNELS * HEIGHT * WIDTH)

_KITTI_ROWS: Final = range(370, 377)
_KITTI_COLUMNS: Final = range(1224, 1243)
KITTI_CROP: Final = (370, 740)
"""KITTI's pictures differ by a few rows from drive to drive; the literature crops all to what all of them have."""


def crop_size(rows: int, columns: int, size: PictureSize = DEFAULT_SIZE) -> tuple[int, int]:
    """Rows and columns of the centre crop that is area-resized to `size`: the largest of its shape; 370x740 for KITTI's
    full pictures and a shape of 2:1.
    """
    if rows in _KITTI_ROWS and columns in _KITTI_COLUMNS and size.columns == 2 * size.rows:
        return KITTI_CROP
    height = min(rows, columns * size.rows // size.columns)
    return height, height * size.columns // size.rows
