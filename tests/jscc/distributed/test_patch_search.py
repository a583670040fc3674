"""The search finds what was moved, and prefers what is near."""

import pytest
import torch
from torch import Tensor

from jscc.distributed.patch_search import assemble, correlation, patches, prior, synthesise_view, to_search_space


def test_patches_and_back() -> None:
    pictures = torch.rand(2, 3, 32, 64)
    cut = patches(pictures, (16, 32))
    assert cut.shape == (2, 4, 3, 16, 32)
    assert torch.equal(cut[0, 1], pictures[0, :, :16, 32:])
    assert torch.equal(assemble(cut, 32, 64), pictures)
    with pytest.raises(ValueError, match="30x64 is not made of patches of 16x32"):
        patches(pictures[:, :, :30], (16, 32))


def test_the_correlation_is_pearsons() -> None:
    torch.manual_seed(0)
    picture, patch = torch.rand(3, 20, 24), torch.rand(1, 3, 8, 8)
    found = correlation(patch, picture)
    place = picture[:, 5:13, 7:15].flatten()
    expected = torch.corrcoef(torch.stack((patch.flatten(), place)))[0, 1]
    assert found.shape == (1, 13, 17)
    torch.testing.assert_close(found[0, 5, 7], expected, rtol=1e-3, atol=1e-4)


def test_the_prior_is_one_at_the_own_place_and_a_half_a_quarter_of_the_picture_away() -> None:
    likely = prior(32, 64, (8, 8))
    assert likely.shape == (32, 25, 57)
    assert float(likely[0, 0, 0]) == 1
    assert float(likely[9, 8, 8]) == 1
    torch.testing.assert_close(likely[0, 0, 16], torch.tensor(0.5))


def moved_noise() -> tuple[Tensor, Tensor]:
    """Two views of fine texture; what the left one shows stands 8 columns further right in the right one."""
    wide = torch.rand(2, 3, 64, 136, generator=torch.Generator().manual_seed(0))
    return wide[..., 8:], wide[..., :128]


def test_a_view_that_only_moved_is_found_again() -> None:
    left, right = moved_noise()
    found = synthesise_view(left, right, right)
    torch.testing.assert_close(found[..., :96], left[..., :96])


def test_the_search_looks_at_the_coded_view_and_takes_from_the_lossless_one() -> None:
    left, right = moved_noise()
    marked = right.clone()
    marked[:, 0] = 0.25
    found = synthesise_view(left, right, marked)
    assert bool((found[:, 0] == 0.25).all())
    torch.testing.assert_close(found[:, 1, :, :96], left[:, 1, :, :96])


def test_the_colour_space() -> None:
    red, green, blue = 0.2, 0.5, 0.8
    space = to_search_space(torch.tensor([red, green, blue]).reshape(1, 3, 1, 1)).flatten()
    torch.testing.assert_close(space, torch.tensor([red + green, red - green, -0.5 * (red + blue)]))
