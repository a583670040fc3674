"""Against OpenCV, which the host cuts with."""

import cv2
import numpy as np
import pytest
import torch

from jscc.data.area_resize import area_resize, area_weights


def test_weights_are_means() -> None:
    weights = area_weights(torch.tensor([4, 3, 5]), 2, 6)
    assert weights.shape == (3, 2, 6)
    assert torch.allclose(weights.sum(2), torch.ones(3, 2))
    assert weights[0].tolist() == [[0.5, 0.5, 0, 0, 0, 0], [0, 0, 0.5, 0.5, 0, 0]]
    assert torch.allclose(weights[1, 0], torch.tensor([2 / 3, 1 / 3, 0, 0, 0, 0]))
    assert torch.allclose(weights[2, 1], torch.tensor([0, 0, 0.2, 0.4, 0.4, 0]))


@pytest.mark.parametrize("size", [(64, 128), (128, 256)])
def test_it_is_what_opencv_makes_up_to_rounding(size: tuple[int, int]) -> None:
    """OpenCV rounds to whole levels: at most half a level off, a quarter in the mean (and its own rounding of sums)."""
    rng = np.random.default_rng(0)
    scales = (1.0, 1.2, 1.337, 1.5, 1.89, 2.0)
    extents = [(round(size[0] * s), round(size[1] * s)) for s in scales]
    reach = extents[-1]
    tiles = rng.integers(0, 256, (len(scales), 2, *reach, 3), dtype=np.uint8)
    heights, widths = (torch.tensor([extent[axis] for extent in extents]) for axis in (0, 1))
    found = area_resize(torch.from_numpy(tiles), heights, widths, size).numpy()
    for number, (height, width) in enumerate(extents):
        for view in (0, 1):
            window = tiles[number, view, :height, :width]
            wanted = cv2.resize(window, size[::-1], interpolation=cv2.INTER_AREA).transpose(2, 0, 1)
            error = np.abs(found[number, view] - wanted)
            assert error.max() < 0.51
            assert error.mean() < 0.27
