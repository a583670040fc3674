"""The centre crop: from a picture of any size to the one size that the codec knows, the same for camera, training and
bench.

Needs OpenCV, which the extras of those have; nothing else imports it.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from wire.geometry import HEIGHT, WIDTH, crop_size

Picture = NDArray[np.uint8]


def center_crop(picture: Picture, size: tuple[int, int] | None = None) -> Picture:
    """The centre of a picture, area-resized to 128x256.

    picture  uint8 [rows, columns, channels]
    size     (rows, columns) to cut out; None: the largest of shape 2:1 (`crop_size`), which is what an edge sends
    returns  uint8 [128, 256, channels]; a picture that has this size is returned as it is
    source   paper, section 4: KITTI's centre 370x740, which is what `crop_size` gives for KITTI's sizes
    """
    rows, columns = size or crop_size(*picture.shape[:2])
    top, left = (picture.shape[0] - rows) // 2, (picture.shape[1] - columns) // 2
    return resize_area(picture[top : top + rows, left : left + columns], HEIGHT, WIDTH)


def resize_area(picture: Picture, rows: int, columns: int) -> Picture:
    """A picture in another size; made smaller, each new pixel is the mean of the area that it covers.

    picture  uint8 [any rows, any columns, channels]
    returns  uint8 [rows, columns, channels]; the same array if it has this size
    """
    if picture.shape[:2] == (rows, columns):
        return picture
    return np.asarray(cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
