"""Training losses: the paper's L = d(x, x') + alpha d(y, y'), equation (3), for three distortions d."""

from typing import Literal, get_args

import torch
from torch import Tensor

from jscc.quality import ms_ssim

Distortion = Literal["mse", "log-mse", "ms-ssim"]
DISTORTIONS: tuple[Distortion, ...] = get_args(Distortion)

LOG_FLOOR = 3e-4
"""Added to the MSE inside the logarithm (35 dB): keeps near-perfect patches of sky from ruling the gradient."""


def distortion(decoded_N3HW: Tensor, truth_N3HW: Tensor, kind: Distortion) -> Tensor:
    """The distortion d of each picture, [N].

    "mse"      the paper's PSNR models
    "log-mse"  log of the MSE: gradient descent on the mean PSNR (up to about 35 dB), so that good links count as
               much as bad ones
    "ms-ssim"  1 - MS-SSIM, the paper's MS-SSIM models; whole pictures only
    """
    if kind == "ms-ssim":
        return 1 - ms_ssim(decoded_N3HW, truth_N3HW)
    error_N = (decoded_N3HW - truth_N3HW).square().flatten(1).mean(1)
    return torch.log(error_N + LOG_FLOOR) if kind == "log-mse" else error_N


def pair_loss(
    decoded_BV3HW: Tensor, truth_BV3HW: Tensor, present_BV: Tensor, kind: Distortion, alpha: float = 1.0
) -> Tensor:
    """The loss d(left) + alpha d(right), mean over pairs; a view that never came does not count. Scalar."""
    d_BV = distortion(decoded_BV3HW.flatten(0, 1), truth_BV3HW.flatten(0, 1), kind).reshape(present_BV.shape)
    left_B, right_B = (d_BV * present_BV).unbind(1)
    return (left_B + alpha * right_B).mean()
