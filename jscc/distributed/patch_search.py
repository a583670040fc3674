"""DSIN's search: where does the other view show what each patch of a decoded picture shows?"""

from functools import lru_cache
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

PATCH: Final = (16, 32)
"""Rows and columns. The original has 20x24 of 320x1224 pixels; of 128x256 the larger ones are found more surely."""
WIDTH: Final = 0.5
"""Full width at half maximum of the Gaussian prior, as a share of the picture, in each direction."""


def to_search_space(pictures: Tensor) -> Tensor:
    """RGB -> (R + G, R - G, -(R + B) / 2), the colour space of the correlation: [N, 3, H, W] -> the same."""
    red, green, blue = pictures.unbind(1)
    return torch.stack((red + green, red - green, -0.5 * (red + blue)), 1)


def patches(pictures: Tensor, size: tuple[int, int] = PATCH) -> Tensor:
    """Cut into patches, row by row: [N, 3, H, W] -> [N, P, 3, rows, columns]; ValueError if they do not divide it."""
    rows, columns = size
    count, channels, height, width = pictures.shape
    if height % rows or width % columns:
        raise ValueError(f"a picture of {height}x{width} is not made of patches of {rows}x{columns}")
    cut = pictures.reshape(count, channels, height // rows, rows, width // columns, columns)
    return cut.permute(0, 2, 4, 1, 3, 5).reshape(count, -1, channels, rows, columns)


def assemble(patches_NPCRQ: Tensor, height: int, width: int) -> Tensor:
    """The inverse of `patches`."""
    count, _, channels, rows, columns = patches_NPCRQ.shape
    cut = patches_NPCRQ.reshape(count, height // rows, width // columns, channels, rows, columns)
    return cut.permute(0, 3, 1, 4, 2, 5).reshape(count, channels, height, width)


@lru_cache(maxsize=4)
def prior(height: int, width: int, size: tuple[int, int] = PATCH) -> Tensor:
    """How likely each place is for each patch, [P, H - rows + 1, W - columns + 1]: 1 at the patch's own place."""
    rows, columns = size

    def along(length: int, patch: int) -> Tensor:
        own = torch.arange(0, length, patch)[:, None]
        distance = (torch.arange(length - patch + 1)[None] - own) / (WIDTH * length)
        return torch.exp2(-4 * distance.square())

    down, across = along(height, rows), along(width, columns)
    return (down[:, None, :, None] * across[None, :, None, :]).flatten(0, 1)


def correlation(patches_PCRQ: Tensor, picture_CHW: Tensor) -> Tensor:
    """Pearson's correlation of each patch with every place of a picture, [P, H - rows + 1, W - columns + 1]."""
    _, channels, rows, columns = patches_PCRQ.shape
    volume = channels * rows * columns
    centred = patches_PCRQ - patches_PCRQ.mean((1, 2, 3), keepdim=True)
    unit = centred / centred.square().sum((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-4)
    products = F.conv2d(picture_CHW[None], unit)[0]  # the mean of a place adds nothing: the patch has mean 0
    box = (channels * F.avg_pool2d(picture_CHW.mean(0)[None, None], (rows, columns), stride=1) * rows * columns)[0, 0]
    squares = channels * F.avg_pool2d(picture_CHW.square().mean(0)[None, None], (rows, columns), stride=1)[0, 0]
    variance = squares * rows * columns - box.square() / volume
    return products / variance.clamp_min(1e-8).sqrt().clamp_min(1e-4)


def synthesise_view(decoded: Tensor, coded_other: Tensor, other: Tensor, size: tuple[int, int] = PATCH) -> Tensor:
    """For every patch of the decoded picture the patch of the other view that is most like it.

    decoded      float [N, 3, H, W], what the receiver has of the own view
    coded_other  the other view with the same kind of losses, in which the search is made
    other        the other view, out of which the patches are taken
    returns      [N, 3, H, W]
    source       Ayzik and Avidan 2020, section 3.2: correlation times a Gaussian prior, the best place wins
    """
    height, width = decoded.shape[-2:]
    rows, columns = size
    likely = prior(height, width, size)
    cut, searched = patches(to_search_space(decoded), size), to_search_space(coded_other)
    found = []
    for own, place, lossless in zip(cut, searched, other, strict=True):
        best = (correlation(own, place) * likely).flatten(1).argmax(1)
        top, left = best // (width - columns + 1), best % (width - columns + 1)
        down = top[:, None, None] + torch.arange(rows)[None, :, None]
        across = left[:, None, None] + torch.arange(columns)[None, None, :]
        found.append(lossless[:, down, across].transpose(0, 1))
    return assemble(torch.stack(found), height, width)
