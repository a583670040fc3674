"""Quality of decoded pictures in torch, for training: it can be differentiated. `wire.quality` is the same in NumPy.

PSNR here: per picture, RGB, clamped to [0, 1], not rounded; the mean is over pictures.
"""

from importlib.util import find_spec

import torch
from torch import Tensor

MS_SSIM_WINDOW = 7
MS_SSIM_SCALES = 5
"""Because 128 rows are too few for the usual window of 11; numbers of different windows must not be compared."""


def psnr(decoded_N3HW: Tensor, truth_N3HW: Tensor) -> Tensor:
    """PSNR = -10 log10(mean squared error) of each picture.

    decoded_N3HW, truth_N3HW  float [N, 3, H, W]; the decoded ones are clamped to [0, 1] first
    returns                   float [N], dB
    """
    error_N = (decoded_N3HW.clamp(0, 1) - truth_N3HW).square().flatten(1).mean(1)
    return -10 * torch.log10(error_N)


def has_ms_ssim() -> bool:
    """Whether `ms_ssim` can be computed: hosts that only lend their GPU may lack its library."""
    return find_spec("pytorch_msssim") is not None


def ms_ssim(decoded_N3HW: Tensor, truth_N3HW: Tensor) -> Tensor:
    """MS-SSIM of each picture, window 7, 5 scales.

    decoded_N3HW, truth_N3HW  float [N, 3, H, W], at least 97 rows and columns; the decoded ones are clamped to [0, 1]
    returns                   float [N], 0 to 1
    source                    Wang et al. 2003, by pytorch_msssim
    """
    from pytorch_msssim import ms_ssim as windowed_ms_ssim

    value_N: Tensor = windowed_ms_ssim(
        decoded_N3HW.clamp(0, 1), truth_N3HW, data_range=1.0, size_average=False, win_size=MS_SSIM_WINDOW
    )
    return value_N
