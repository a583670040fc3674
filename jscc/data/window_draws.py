"""What chance decides on a batch of training pairs, as numbers: which pictures, which windows, how they are changed.

Drawn on the host as a pure function of (seed, step), so that every device makes the same pictures of them and nothing
has to be stored to resume. The same distributions as `jscc.data.batches` and `jscc.data.synthetic_stereo`, in another
order of draws.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from jscc.data.batches import Mixture
from jscc.data.picture_store import Holding, PictureStore
from wire import geometry

COARSE: Final = (5, 9)
"""Rows and columns of the largest grid of bumps in a disparity field."""
BOXES: Final = 3
"""Most things that stand out of a disparity field."""

Ints = NDArray[np.int64]
Reals = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class WindowDraws:
    """One row of `whole` and `real` for each of B pairs.

    whole  int64 [B, 8]: first pixel of the left and of the right picture, their rows and columns, and of the window
           top, left, height, width
    real   float32 [B, REALS], see the slices below
    """

    whole: Ints
    real: Reals


FIRST: Final = slice(0, 2)
SIZE: Final = slice(2, 4)
CORNER: Final = slice(4, 6)
EXTENT: Final = slice(6, 8)
WHOLES: Final = 8

SYNTHETIC, FLIP, CONTRAST, BRIGHTNESS = range(4)
"""Whether the right view is made of the left one; whether the pair is mirrored; contrast * (x - 128) + 128 + ..."""
GAIN, OFFSET = 4, 5
"""Exposure of a synthetic right view."""
NEAR, FAR, HORIZON, BUMP_ROWS, BUMP_COLUMNS = range(6, 11)
"""Of its disparity field, pixels; the horizon as a share of the rows; how much of the grid of bumps is used."""
BUMPS: Final = slice(11, 11 + COARSE[0] * COARSE[1])
BOX: Final = slice(BUMPS.stop, BUMPS.stop + 5 * BOXES)
"""Top, left, height, width and disparity of each, pixels; height 0 for those that are not there."""
REALS: Final = BOX.stop


def draw_windows(
    store: PictureStore, mixture: Mixture, count: int, size: tuple[int, int], *, seed: int, step: int
) -> WindowDraws:
    """Draw `count` pairs of `size` = (rows, columns) for training step `step`."""
    rng = np.random.Generator(np.random.Philox(key=[seed, step]))
    synthetic, pictures = _choose(store.holding(size), mixture, count, rng)
    whole, real = np.empty((count, WHOLES), np.int64), np.empty((count, REALS), np.float32)
    whole[:, FIRST] = store.first[pictures]
    whole[:, SIZE] = sizes = store.sizes[pictures[:, 0]]
    whole[:, EXTENT] = extent = _extents(sizes, size, mixture.scales, rng.random(count))
    whole[:, CORNER] = rng.integers(0, sizes - extent + 1)

    changed = rng.random(count) < 0.5
    real[:, SYNTHETIC], real[:, FLIP] = synthetic, rng.random(count) < 0.5
    real[:, CONTRAST] = np.where(changed, rng.uniform(0.8, 1.2, count), 1)
    real[:, BRIGHTNESS] = np.where(changed, rng.uniform(-20, 20, count), 0)
    _draw_disparities(real, size, mixture.disparity_at(size), rng)
    return WindowDraws(whole, real)


def _choose(store: Holding, mixture: Mixture, count: int, rng: np.random.Generator) -> tuple[NDArray[np.bool_], Ints]:
    """Which are of single pictures, and the numbers of the left and right pictures [B, 2]."""
    draw, any_pairs = rng.random(count), len(store.colour) + len(store.grey) > 0
    single = (draw < (mixture.mono_share if any_pairs else np.inf)) & (len(store.mono) > 0)
    grey = ~single & (draw > (1 - mixture.grey_share if len(store.colour) else -np.inf)) & (len(store.grey) > 0)
    pictures = np.empty((count, 2), np.int64)
    for kind, table in (
        (single, np.repeat(store.mono[:, None], 2, 1)),
        (grey, store.grey),
        (~single & ~grey, store.colour),
    ):
        number = rng.random(count)
        if len(table):
            pictures[kind] = table[(number[kind] * len(table)).astype(np.int64)]
    return single, pictures


def _extents(sizes_B2: Ints, size: tuple[int, int], scales: tuple[float, float], share_B: NDArray[np.float64]) -> Ints:
    """Height and width of each window [B, 2]; the scale as `jscc.data.batches.cut` draws it."""
    fits = (sizes_B2 / np.array(size)).min(1)
    window_fits = (sizes_B2 / np.maximum((geometry.HEIGHT, geometry.WIDTH), size)).min(1)
    high = np.minimum(scales[1], np.where(window_fits < scales[0], fits, window_fits))
    low = np.minimum(scales[0], high)
    scale = low + (high - low) * share_B
    return np.asarray(np.minimum(np.rint(scale[:, None] * np.array(size)).astype(np.int64), sizes_B2))


def reach(size: tuple[int, int], scales: tuple[float, float]) -> tuple[int, int]:
    """Rows and columns of the largest window."""
    return round(size[0] * scales[1]), round(size[1] * scales[1])


def _draw_disparities(real: Reals, size: tuple[int, int], largest: float, rng: np.random.Generator) -> None:
    """Fill the columns of synthetic second views; drawn for every pair, used for those of single pictures."""
    count, (rows, columns) = len(real), size
    real[:, GAIN], real[:, OFFSET] = rng.uniform(0.95, 1.05, count), rng.uniform(-4, 4, count)
    real[:, NEAR] = largest * rng.uniform(0.3, 1.0, count)
    real[:, FAR] = largest * rng.uniform(0.0, 0.25, count)
    real[:, HORIZON] = rng.uniform(0.2, 0.6, count)
    real[:, BUMP_ROWS], real[:, BUMP_COLUMNS] = rng.integers(2, 6, count), rng.integers(2, 10, count)
    real[:, BUMPS] = rng.uniform(-1, 1, (count, COARSE[0] * COARSE[1]))
    boxes = np.empty((count, BOXES, 5), np.float32)
    boxes[..., 0], boxes[..., 1] = rng.integers(0, rows, (count, BOXES)), rng.integers(0, columns, (count, BOXES))
    boxes[..., 2] = rng.integers(rows // 8, rows // 2, (count, BOXES))
    boxes[..., 3] = rng.integers(columns // 16, columns // 4, (count, BOXES))
    boxes[..., 4] = rng.uniform(0, largest, (count, BOXES))
    boxes[..., 2] *= np.arange(BOXES) < rng.integers(0, BOXES + 1, count)[:, None]
    real[:, BOX] = boxes.reshape(count, -1)
