"""From whatever a camera gives to pictures of the one size that is sent."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from wire.crop import center_crop
from wire.geometry import CHANNELS, DEFAULT_SIZE, LARGEST_SIZE, STEP, PictureSize, crop_size
from wire.runtime.errors import FrameError

Fit = Callable[[NDArray[Any]], NDArray[np.uint8]]
"""`Framing.fit` of a camera: makes its pictures fit, or raises FrameError."""

_ASPECT: Final = DEFAULT_SIZE.columns // DEFAULT_SIZE.rows


class Framing:
    """The size of a camera's pictures, and what makes them fit.

    size  of every picture; None until the first one tells (`auto`), then it stays
    """

    def __init__(self, size: PictureSize | None = DEFAULT_SIZE, largest: PictureSize = LARGEST_SIZE) -> None:
        """size: None takes the largest of shape 2:1 that the first picture allows, at most `largest`."""
        self.size, self.largest = size, largest

    def fit(self, picture: NDArray[Any]) -> NDArray[np.uint8]:
        """Centre-crop to the shape of the size, then area-resize. Nothing is made larger than it came.

        picture  RGB, uint8 [rows, columns, 3]
        returns  RGB, uint8 [size.rows, size.columns, 3]; a picture of that size is returned untouched
        raises   FrameError if it is empty, has not three channels, is not 8 bit or is too small
        """
        if picture.size == 0:
            raise FrameError("shape", "the picture is empty; check the camera")
        if picture.ndim != 3 or picture.shape[2] != CHANNELS:
            shape = "x".join(map(str, picture.shape))
            raise FrameError("shape", f"the picture is {shape}; set the camera to colour (rows x columns x {CHANNELS})")
        if picture.dtype != np.uint8:
            raise FrameError("type", f"the picture's numbers are {picture.dtype}; set the camera to 8 bits a colour")
        rows, columns = picture.shape[:2]
        size = self.size or largest_within(rows, columns, self.largest) or DEFAULT_SIZE
        if (rows, columns) != (size.rows, size.columns):
            cut = crop_size(rows, columns, size)
            if cut[0] < size.rows:
                smaller = "" if size == DEFAULT_SIZE else ", or set size to a smaller one"
                raise FrameError(
                    "shape",
                    f"the picture is {rows}x{columns} (rows x columns); at least {size} is needed: set the camera to"
                    f" a larger size, or give larger pictures{smaller}",
                )
            picture = center_crop(picture, cut, size)
        self.size = size
        return picture


def largest_within(rows: int, columns: int, largest: PictureSize) -> PictureSize | None:
    """The largest size of shape 2:1 to which a picture can be brought without making it larger.

    rows, columns  of the picture
    largest        neither rows nor columns may be more
    returns        None if the picture is too small for any
    """
    height = min(crop_size(rows, columns)[0], largest.rows, largest.columns // _ASPECT) // STEP * STEP
    return None if height < DEFAULT_SIZE.rows else PictureSize(height, _ASPECT * height)


fit: Fit = Framing().fit
"""To 128x256."""
