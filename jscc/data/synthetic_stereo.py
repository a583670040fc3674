"""Synthetic stereo: a second view of a single picture, by a smooth random disparity. For training only."""

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def disparity_field(rows: int, columns: int, largest: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """The disparities of a plausible road scene: far at the top, near at the bottom, with a few smooth and sharp steps.

    rows, columns  at least 8 and 16
    largest        pixels
    returns        float32 [rows, columns], pixels, 0 to `largest`
    """
    near, far = largest * rng.uniform(0.3, 1.0), largest * rng.uniform(0.0, 0.25)
    horizon = rng.uniform(0.2, 0.6)
    ramp = np.clip((np.linspace(0, 1, rows, dtype=np.float32) - horizon) / (1 - horizon), 0, 1)
    field = np.repeat((far + (near - far) * ramp)[:, None], columns, 1).astype(np.float32)
    coarse = rng.uniform(-1, 1, (rng.integers(2, 6), rng.integers(2, 10))).astype(np.float32)
    bumps = np.asarray(cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_CUBIC), np.float32)
    field += bumps * np.float32(0.2 * largest)
    for _ in range(rng.integers(0, 4)):  # things that stand out, with sharp borders
        top, left = rng.integers(0, rows), rng.integers(0, columns)
        height, width = rng.integers(rows // 8, rows // 2), rng.integers(columns // 16, columns // 4)
        field[top : top + height, left : left + width] = rng.uniform(0, largest)
    return np.clip(field, 0, largest)


def warp_right(left: Picture, disparity: NDArray[np.float32]) -> Picture:
    """The right view: right(x) = left(x + d(x)); what stands at x there stands d further right in the left view.

    left       uint8 [rows, columns, 3]
    disparity  float32 [rows, columns] >= 0, in pixels, on the right view's grid
    returns    uint8 [rows, columns, 3]; what left the picture is filled with the border's reflection
    """
    rows, columns = disparity.shape
    x, y = np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32))
    warped = cv2.remap(left, x + disparity, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(warped, np.uint8)


def second_view(left: Picture, largest: float, rng: np.random.Generator) -> Picture:
    """A right view with random disparities, slightly other exposure, and noise.

    left     uint8 [rows, columns, 3]
    largest  disparity, pixels
    returns  uint8 [rows, columns, 3]
    """
    right = warp_right(left, disparity_field(left.shape[0], left.shape[1], largest, rng))
    changed = right * rng.uniform(0.95, 1.05) + rng.uniform(-4, 4) + rng.normal(0, 1.0, right.shape)
    return np.clip(changed, 0, 255).astype(np.uint8)
