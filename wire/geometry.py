"""The one place that knows how large a picture is and how many symbols carry it.

A picture is RGB, 3 x 128 x 256. The encoder halves it three times and keeps C* = 20 real
channels at 1/8 scale; two real channels make one complex channel use, so a picture costs
20 x 16 x 32 / 2 = 5120 complex symbols and the bandwidth ratio is R = k/n = 5120/98304 = 0.0521.
"""

from typing import Final

CHANNELS: Final = 3
HEIGHT: Final = 128
WIDTH: Final = 256

DOWNSCALING: Final = 8
LATENT_CHANNELS: Final = 20
LATENT_HEIGHT: Final = HEIGHT // DOWNSCALING
LATENT_WIDTH: Final = WIDTH // DOWNSCALING

SYMBOLS: Final = LATENT_CHANNELS * LATENT_HEIGHT * LATENT_WIDTH // 2
BANDWIDTH_RATIO: Final = SYMBOLS / (CHANNELS * HEIGHT * WIDTH)

_ASPECT: Final = WIDTH // HEIGHT
_KITTI_ROWS: Final = range(370, 377)
_KITTI_COLUMNS: Final = range(1224, 1243)
KITTI_CROP: Final = (370, 740)
"""KITTI's pictures differ by a few rows from drive to drive; the literature crops all to what all of them have."""


def crop_size(rows: int, columns: int) -> tuple[int, int]:
    """Rows and columns of the centre crop that is area-resized to 128x256: the largest of 2:1; 370x740 for KITTI's
    full pictures.
    """
    if rows in _KITTI_ROWS and columns in _KITTI_COLUMNS:
        return KITTI_CROP
    height = min(rows, columns // _ASPECT)
    return height, height * _ASPECT
