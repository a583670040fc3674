"""From whatever a camera gives to the one picture size that the codec knows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wire.crop import center_crop
from wire.geometry import CHANNELS, HEIGHT, WIDTH, crop_size
from wire.runtime.errors import FrameError


def fit(picture: NDArray[Any]) -> NDArray[np.uint8]:
    """Centre-crop to 2:1, then area-resize.

    picture  RGB, uint8 [rows, columns, 3], any size whose 2:1 crop is at least 128x256
    returns  RGB, uint8 [128, 256, 3]; a picture of that size is returned untouched
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
    if (rows, columns) == (HEIGHT, WIDTH):
        return picture
    height, width = crop_size(rows, columns)
    if height < HEIGHT:
        raise FrameError(
            "shape",
            f"the picture is {rows}x{columns} (rows x columns); at least {HEIGHT}x{WIDTH} is needed: set the camera to"
            " a larger size, or give larger pictures",
        )
    return center_crop(picture, (height, width))
