"""The centre crop: from a picture of any size to the one that is to be sent, the same for camera, training and bench.

Needs OpenCV, which the extras of those have; nothing else imports it.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from wire.geometry import DEFAULT_SIZE, PictureSize, crop_size

Picture = NDArray[np.uint8]


def center_crop(picture: Picture, cut: tuple[int, int] | None = None, size: PictureSize = DEFAULT_SIZE) -> Picture:
    """The centre of a picture, area-resized.

    picture  uint8 [rows, columns, channels]
    cut      (rows, columns) to cut out; None: the largest of the shape of `size` (`crop_size`), which an edge sends
    size     to bring it to
    returns  uint8 [size.rows, size.columns, channels]; a picture that has this size is returned as it is
    source   paper, section 4: KITTI's centre 370x740, which is what `crop_size` gives for KITTI's sizes
    """
    rows, columns = cut or crop_size(picture.shape[0], picture.shape[1], size)
    top, left = (picture.shape[0] - rows) // 2, (picture.shape[1] - columns) // 2
    return resize_area(picture[top : top + rows, left : left + columns], size.rows, size.columns)


def resize_area(picture: Picture, rows: int, columns: int) -> Picture:
    """A picture in another size; made smaller, each new pixel is the mean of the area that it covers.

    picture  uint8 [any rows, any columns, channels]
    returns  uint8 [rows, columns, channels]; the same array if it has this size
    """
    if picture.shape[:2] == (rows, columns):
        return picture
    return np.asarray(cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
