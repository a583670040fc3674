"""All training pictures on one device, as they were decoded: uint8, one after the other."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jscc.data.batches import Sources
from jscc.data.synthetic_stereo import Picture


class Holding(NamedTuple):
    """Numbers of pictures. colour, grey: int64 [pairs, 2]; mono: int64 [pictures]"""

    colour: NDArray[np.int64]
    grey: NDArray[np.int64]
    mono: NDArray[np.int64]


class PictureStore:
    """Pictures as one tensor of pixels, and where each of them begins.

    pixels     uint8 [P, 3] on the device, picture after picture, row after row
    first      int64 [pictures]: number of a picture's first pixel
    sizes      int64 [pictures, 2]: rows, columns
    colour     int64 [pairs, 2]: numbers of the left and right pictures of pairs in colour; `grey` likewise
    mono       int64 [pictures]: numbers of single pictures
    """

    def __init__(self, sources: Sources, device: torch.device) -> None:
        pictures: list[Picture] = [p for pair in (*sources.colour, *sources.grey) for p in pair] + sources.mono
        self.device = device
        self.sizes: NDArray[np.int64] = np.array([picture.shape[:2] for picture in pictures], np.int64)
        ends = np.cumsum(self.sizes.prod(1))
        self.first: NDArray[np.int64] = np.concatenate((np.zeros(1, np.int64), ends[:-1]))
        colour, grey = 2 * len(sources.colour), 2 * len(sources.grey)
        numbers = np.arange(len(pictures), dtype=np.int64)
        self.colour = numbers[:colour].reshape(-1, 2)
        self.grey = numbers[colour : colour + grey].reshape(-1, 2)
        self.mono = numbers[colour + grey :]
        self.pixels: Tensor = torch.empty((int(ends[-1]), 3), dtype=torch.uint8, device=device)
        for picture, start in zip(pictures, self.first, strict=True):
            flat = torch.from_numpy(np.ascontiguousarray(picture)).reshape(-1, 3)
            self.pixels[int(start) : int(start) + len(flat)].copy_(flat)

    def holding(self, size: tuple[int, int]) -> Holding:
        """The pictures that need not be made larger for windows of `size` = (rows, columns)."""
        holds: NDArray[np.bool_] = np.all(self.sizes >= np.array(size), axis=1)
        colour, grey = (pairs[holds[pairs[:, 0]]] for pairs in (self.colour, self.grey))
        return Holding(colour, grey, self.mono[holds[self.mono]])

    def tiles(
        self, first_BV: Tensor, rows_B: Tensor, columns_B: Tensor, corner_B2: Tensor, reach: tuple[int, int]
    ) -> Tensor:
        """Cut-outs of one size at many places.

        first    int64 [B, V]: first pixels of the pictures, which for one b have `rows` and `columns` [B]
        corner   int64 [B, 2]: top, left
        reach    rows R and columns K of every tile; beyond the picture its last row and column are repeated
        returns  uint8 [B, V, R, K, 3]
        """
        down_R, across_K = (torch.arange(reach[axis], device=self.device) for axis in (0, 1))
        row_BR = torch.minimum(corner_B2[:, :1] + down_R, rows_B[:, None] - 1)
        column_BK = torch.minimum(corner_B2[:, 1:] + across_K, columns_B[:, None] - 1)
        place_BRK = row_BR[:, :, None] * columns_B[:, None, None] + column_BK[:, None, :]
        place_BVRK = first_BV[:, :, None, None] + place_BRK[:, None]
        return self.pixels.index_select(0, place_BVRK.flatten()).reshape(*place_BVRK.shape, 3)
