"""Quality of decoded pictures.

PSNR here: per picture, RGB, clamped to [0, 1], not rounded; the mean is over pictures.
"""

import torch
from pytorch_msssim import ms_ssim as windowed_ms_ssim
from torch import Tensor

MS_SSIM_WINDOW = 7
MS_SSIM_SCALES = 5
"""128 rows are too few for the usual window of 11; numbers of different windows must not be compared."""


def psnr(decoded_N3HW: Tensor, truth_N3HW: Tensor) -> Tensor:
    """PSNR in dB of each picture, [N]; pictures are clamped to [0, 1] first."""
    error_N = (decoded_N3HW.clamp(0, 1) - truth_N3HW).square().flatten(1).mean(1)
    return -10 * torch.log10(error_N)


def ms_ssim(decoded_N3HW: Tensor, truth_N3HW: Tensor) -> Tensor:
    """MS-SSIM of each picture, [N], window 7, 5 scales; pictures need at least 97 rows and columns."""
    value_N: Tensor = windowed_ms_ssim(
        decoded_N3HW.clamp(0, 1), truth_N3HW, data_range=1.0, size_average=False, win_size=MS_SSIM_WINDOW
    )
    return value_N
