"""The entropy bottleneck: quantise a latent with steps that the rate level chooses, and count the bits."""

import math
from typing import Final

import torch
from torch import Tensor, nn

from jscc.distributed.density import FactorisedDensity

LAMBDAS: Final = (1e-4, 2.5e-4, 6.3e-4, 1.6e-3, 4e-3, 1e-2)
"""The rate levels: what a unit of mean squared error, of 255ths, costs in bits per pixel."""

STEP_AT_ONE: Final = (18 / math.log(2)) ** 0.5 / 255
"""The best step of an orthonormal transform at lambda 1: there lambda 255^2 / 3 * 2 ln 2 * step^2 / 12 = 1."""


class Bottleneck(nn.Module):
    """A latent of C channels at any rate from level 0 to the last one.

    One transform serves all rates: each level has its own quantisation step for each channel, and its own gain behind
    it; between levels both are interpolated geometrically. All levels share one density of the latent before
    quantisation, so the probability of a symbol is that of its bin.

    channels  C
    lambdas   of the levels, rising
    source    steps by level: Cui et al., "Asymmetric gained deep image compression with continuous rate adaptation",
              CVPR 2021; noise for the rate and rounding for the distortion: Minnen and Singh, ICIP 2020
    """

    def __init__(self, channels: int, lambdas: tuple[float, ...] = LAMBDAS) -> None:
        super().__init__()
        self.density = FactorisedDensity(channels)
        starts = torch.tensor([math.log(STEP_AT_ONE) - 0.5 * math.log(value) for value in lambdas])
        self.log_steps = nn.Parameter(starts[:, None].repeat(1, channels))
        self.log_gains = nn.Parameter(torch.zeros(len(lambdas), channels))

    @property
    def levels(self) -> int:
        """How many rate levels were trained."""
        return self.log_steps.shape[0]

    def _at(self, table_LC: Tensor, level_N: Tensor) -> Tensor:
        low = level_N.floor().long().clamp(0, self.levels - 1)
        high = (low + 1).clamp(max=self.levels - 1)
        return torch.lerp(table_LC[low], table_LC[high], (level_N - low)[:, None])

    def steps(self, level_N: Tensor) -> Tensor:
        """Quantisation steps at levels from 0 to the last, which may lie between two: float [N] -> [N, C]."""
        return self._at(self.log_steps, level_N).exp()

    def restore(self, symbols_NCHW: Tensor, level_N: Tensor) -> Tensor:
        """What the synthesis gets for symbols: times their steps and gains."""
        scale_NC = (self._at(self.log_steps, level_N) + self._at(self.log_gains, level_N)).exp()
        return symbols_NCHW * scale_NC[:, :, None, None]

    def quantise(self, latent_NCHW: Tensor, level_N: Tensor) -> Tensor:
        """Symbols: whole numbers, as floats, of the same shape."""
        return (latent_NCHW / self.steps(level_N)[:, :, None, None]).round()

    def forward(
        self, latent_NCHW: Tensor, level_N: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Quantise so that gradients pass.

        latent     float [N, C, H, W]
        level      float [N]
        generator  of the uniform noise in whose presence bits are counted; None counts those of the rounded symbols
        returns    (what the synthesis gets, [N, C, H, W]; bits of each picture, [N])
        """
        latent = latent_NCHW.float()
        steps_NC11 = self.steps(level_N)[:, :, None, None]
        scaled = latent / steps_NC11
        rounded = scaled + (scaled.round() - scaled).detach()
        if generator is None:
            counted = rounded
        else:
            counted = scaled + torch.rand(scaled.shape, generator=generator) - 0.5
        return self.restore(rounded, level_N), self.bits(counted * steps_NC11, steps_NC11.expand_as(scaled))

    def bits(self, values_NCHW: Tensor, widths_NCHW: Tensor) -> Tensor:
        """Bits [N] of values, each standing for a bin of a width."""
        count, channels = values_NCHW.shape[:2]
        values, widths = (x.transpose(0, 1).reshape(channels, -1) for x in (values_NCHW, widths_NCHW))
        bits_CN = -self.density.probability(values, widths).log2()
        return bits_CN.reshape(channels, count, -1).sum((0, 2))
