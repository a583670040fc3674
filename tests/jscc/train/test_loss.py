"""Losses and metrics on errors that are known."""

import pytest
import torch

from jscc.quality import ms_ssim, psnr
from jscc.train.loss import distortion, pair_loss


def test_losses_and_metrics_on_known_errors() -> None:
    truth = torch.full((2, 2, 3, 128, 256), 0.5)
    decoded = truth + torch.tensor([0.1, 0.01])[None, :, None, None, None]
    present = torch.tensor([[True, True], [True, False]])
    assert float(pair_loss(decoded, truth, present, "mse")) == pytest.approx((0.01 + 0.0001 + 0.01) / 2, rel=1e-4)
    assert float(pair_loss(decoded, truth, present, "mse", alpha=0.0)) == pytest.approx(0.01, rel=1e-4)
    torch.testing.assert_close(psnr(decoded[0], truth[0]), torch.tensor([20.0, 40.0]), atol=1e-3, rtol=0)
    assert float(psnr(truth[0] + 0.7, truth[0])[0]) == pytest.approx(6.0206, abs=1e-3)  # clamped to 1
    noisy = torch.rand(1, 3, 128, 256)
    assert float(distortion(noisy, noisy, "ms-ssim")) == pytest.approx(0, abs=1e-5)
    assert float(ms_ssim(noisy, 1 - noisy)) < 0.5
