"""How good a reconstruction is: PSNR and MS-SSIM, one definition each.

PSNR is taken per picture over RGB in [0, 1], clamped and not rounded; over several pictures it is the
mean of the per-picture values. MS-SSIM is Wang, Simoncelli, Bovik (2003) with a Gaussian window of 7
(sigma 1.5) and 5 scales, because 128 rows are too few for the usual window of 11; it equals
`pytorch_msssim.ms_ssim(..., data_range=1, win_size=7)`.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

MS_SSIM_DEFINITION: Final = "MS-SSIM: Gaussian window 7, sigma 1.5, 5 scales"

_WINDOW: Final = 7
_SIGMA: Final = 1.5
_WEIGHTS: Final = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])
_GAUSS: Final = np.exp(-((np.arange(_WINDOW) - _WINDOW // 2) ** 2) / (2 * _SIGMA**2))
_TAPS: Final = (_GAUSS / _GAUSS.sum()).astype(np.float32)
_C1: Final = 0.01**2
_C2: Final = 0.03**2


def psnr(picture: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """PSNR in dB of one picture, both in [0, 1], same shape; +inf where they are equal."""
    error = np.clip(picture, 0.0, 1.0).astype(np.float64) - reference
    mse = float(np.mean(error * error))
    return float("inf") if mse == 0.0 else float(-10.0 * np.log10(mse))


def ms_ssim(picture: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """MS-SSIM of one picture.

    picture, reference  float32 [3, height, width] in [0, 1], at least 97 rows and columns
    returns             mean over the three channels, in [0, 1]
    raises              ValueError if a side is too short for five scales
    """
    if min(picture.shape[1:]) <= (_WINDOW - 1) * 2 ** (len(_WEIGHTS) - 1):
        raise ValueError(f"MS-SSIM with five scales needs more than 96 rows and columns, got {picture.shape[1:]}")
    x = np.clip(picture, 0.0, 1.0).astype(np.float32)
    y = reference.astype(np.float32)
    # Channel by channel: what is worked on stays in the processor's cache, in less than half the time.
    return float(np.mean([_channel(*channels) for channels in zip(x, y, strict=True)]))


def _channel(x: NDArray[np.float32], y: NDArray[np.float32]) -> float:
    """MS-SSIM of one channel, [height, width] each."""
    product = 1.0
    for scale, weight in enumerate(_WEIGHTS):
        ssim, contrast = _ssim(x, y)
        last = scale == len(_WEIGHTS) - 1
        product *= max(ssim if last else contrast, 0.0) ** weight
        if not last:
            x, y = _halve(x), _halve(y)
    return float(product)


def _ssim(x: NDArray[np.float32], y: NDArray[np.float32]) -> tuple[float, float]:
    """Mean SSIM and mean contrast-structure term."""
    mean_x, mean_y, xx, yy, xy = (_blur(plane) for plane in (x, y, x * x, y * y, x * y))
    variance_x, variance_y, covariance = xx - mean_x**2, yy - mean_y**2, xy - mean_x * mean_y
    contrast = (2 * covariance + _C2) / (variance_x + variance_y + _C2)
    ssim = contrast * (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    return float(ssim.mean()), float(contrast.mean())


def _blur(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Separable Gaussian window without padding, [h, w] -> [h-6, w-6]."""
    down = _along_rows(plane)
    return _along_rows(down.T).T


def _along_rows(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """The window down the first axis, [n, m] -> [n-6, m]. It is symmetric: rows of one tap are added first."""
    reach = _WINDOW // 2
    rows = len(plane) - 2 * reach
    blurred: NDArray[np.float32] = _TAPS[reach] * plane[reach : reach + rows]
    pair = np.empty_like(blurred)
    for i in range(reach):
        np.add(plane[i : i + rows], plane[2 * reach - i : 2 * reach - i + rows], out=pair)
        pair *= _TAPS[i]
        blurred += pair
    return blurred


def _halve(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """2x2 mean; an odd side gets a zero row or column on both ends first, as pytorch_msssim does."""
    if plane.shape[0] % 2 or plane.shape[1] % 2:
        plane = np.pad(plane, [(side % 2, side % 2) for side in plane.shape])
    height, width = plane.shape[0] // 2 * 2, plane.shape[1] // 2 * 2
    even, odd = plane[0:height:2], plane[1:height:2]
    summed: NDArray[np.float32] = even[:, 0:width:2] + even[:, 1:width:2] + odd[:, 0:width:2] + odd[:, 1:width:2]
    return summed * np.float32(0.25)
