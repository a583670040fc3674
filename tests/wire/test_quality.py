import numpy as np
import pytest
from numpy.typing import NDArray

from wire.quality import ms_ssim, psnr

Picture = NDArray[np.float32]


def pictures(height: int = 128, width: int = 256) -> tuple[Picture, Picture]:
    """A smooth picture and a noisy copy of it."""
    rng = np.random.default_rng(2)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    smooth = np.stack([0.5 + 0.4 * np.sin(rows / (9 + c)) * np.cos(columns / (13 + c)) for c in range(3)])
    smooth = smooth.astype(np.float32)
    return np.clip(smooth + 0.05 * rng.standard_normal(smooth.shape), 0, 1).astype(np.float32), smooth


def test_psnr_is_ten_log_of_the_mean_square_error() -> None:
    reference = np.zeros((3, 128, 256), np.float32)
    assert psnr(reference + np.float32(0.1), reference) == pytest.approx(20.0, abs=1e-4)
    assert psnr(reference, reference) == float("inf")


def test_psnr_clamps_but_does_not_round() -> None:
    reference = np.ones((3, 128, 256), np.float32)
    assert psnr(reference * 7, reference) == float("inf")
    assert psnr(reference - np.float32(0.001), reference) == pytest.approx(60.0, abs=1e-2)


@pytest.mark.parametrize("size", [(128, 256), (131, 255)])
def test_ms_ssim_equals_pytorch_msssim(size: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("pytorch_msssim").ms_ssim
    noisy, clean = pictures(*size)
    expected = theirs(torch.tensor(noisy)[None], torch.tensor(clean)[None], data_range=1.0, win_size=7).item()
    assert ms_ssim(noisy, clean) == pytest.approx(expected, abs=2e-6)


def test_ms_ssim_of_equal_pictures_is_one() -> None:
    _, clean = pictures()
    assert ms_ssim(clean, clean) == pytest.approx(1.0, abs=1e-6)


def test_ms_ssim_refuses_pictures_that_are_too_small() -> None:
    small = np.zeros((3, 96, 256), np.float32)
    with pytest.raises(ValueError, match="more than 96"):
        ms_ssim(small, small)
