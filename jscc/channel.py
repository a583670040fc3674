"""Differentiable channels for training: noise, fading and the receiver's MMSE equaliser.

y = h s + n with n ~ CN(0, N0), N0 = 10^(-snr/10), N0/2 per real dimension; h = 1 (AWGN) or h ~ CN(0, 1), complex, one
per symbol (fast) or one per picture (block). The receiver knows h: estimate conj(h) y / (|h|^2 + N0), reliability |h|^2
/ (|h|^2 + N0).
"""

from enum import IntEnum
from typing import NamedTuple

import torch
from torch import Tensor

from jscc.model.conditioning import is_absent, is_noiseless
from wire import units


class Fading(IntEnum):
    """How the gain h of a link behaves."""

    NONE = 0
    FAST = 1
    BLOCK = 2


_FAST, _BLOCK = int(Fading.FAST), int(Fading.BLOCK)  # torch.compile cannot compare a tensor with an enum


class ChannelNoise(NamedTuple):
    """The random numbers of the links of B pictures, CN(0, 1) each, whatever the SNR and the fading.

    noise  float [B, K, 2], of each symbol
    fast   float [B, K, 2], gains h that change with each symbol
    block  float [B, 1, 2], gains h of whole pictures
    """

    noise: Tensor
    fast: Tensor
    block: Tensor

    @classmethod
    def draw(
        cls, pictures: int, symbols: int, device: torch.device, generator: torch.Generator | None
    ) -> "ChannelNoise":
        """For `pictures` links (B) of `symbols` complex symbols (K) each."""
        sizes = ((pictures, symbols, 2), (pictures, symbols, 2), (pictures, 1, 2))
        return cls(*(torch.randn(size, generator=generator, device=device) * 0.5**0.5 for size in sizes))

    def part(self, pictures: slice) -> "ChannelNoise":
        """The same for some of the pictures."""
        return ChannelNoise(*(drawn[pictures] for drawn in self))


def transmit(
    symbols_BK2: Tensor,
    snr_db_B: Tensor,
    fading_B: Tensor | Fading,
    chance: ChannelNoise | torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Send unit-power symbols over one link per picture, y = h s + n, and equalise.

    symbols_BK2  float [B, K, 2] = (I, Q), mean I^2 + Q^2 = 1
    snr_db_B     float [B], dB, mean Es/N0; +inf adds no noise and does not fade, -inf delivers nothing
    fading_B     int [B] of `Fading`, or one for all
    chance       noise and gains drawn before, or the generator to draw them from
    returns      (MMSE estimates conj(h) y / (|h|^2 + N0) [B, K, 2], reliability |h|^2 / (|h|^2 + N0) [B, K] in [0, 1])
    source       paper, sections 2 and 4.2 (Rayleigh fast fading); conventions in docs/conventions.md
    """
    device = symbols_BK2.device
    fading_B1 = torch.as_tensor(fading_B, device=device).expand(len(snr_db_B))[:, None]
    if not isinstance(chance, ChannelNoise):
        chance = ChannelNoise.draw(symbols_BK2.shape[0], symbols_BK2.shape[1], device, chance)
    noise_BK2, fast_BK2, block_B12 = chance

    still_2 = torch.stack((symbols_BK2.new_ones(()), symbols_BK2.new_zeros(())))  # made on the device, for CUDA graphs
    gain_BK2 = torch.where((fading_B1 == _FAST)[..., None], fast_BK2, still_2)
    gain_BK2 = torch.where((fading_B1 == _BLOCK)[..., None], block_B12, gain_BK2)
    n0_B1 = noise_variance(snr_db_B)[:, None]

    received_BK2 = complex_mul(gain_BK2, symbols_BK2) + noise_BK2 * n0_B1.sqrt()[..., None]
    strength_BK = gain_BK2.square().sum(-1)
    estimate_BK2 = complex_mul(conjugate(gain_BK2), received_BK2) / (strength_BK + n0_B1 + 1e-12)[..., None]
    reliability_BK = strength_BK / (strength_BK + n0_B1 + 1e-12)

    clean_B1, lost_B1 = is_noiseless(snr_db_B)[:, None], is_absent(snr_db_B)[:, None]
    estimate_BK2 = torch.where(clean_B1[..., None], symbols_BK2, torch.where(lost_B1[..., None], 0.0, estimate_BK2))
    reliability_BK = torch.where(clean_B1, 1.0, torch.where(lost_B1, 0.0, reliability_BK))
    return estimate_BK2, reliability_BK


def noise_variance(snr_db_B: Tensor) -> Tensor:
    """N0 = 10^(-snr/10) of each link; finite for the two infinities, whose results `transmit` replaces anyway.

    snr_db_B  float [B], dB
    returns   float [B]
    """
    return units.POWER * 10.0 ** (-snr_db_B.clamp(-60.0, 120.0) / 10.0)


def complex_mul(a_2: Tensor, b_2: Tensor) -> Tensor:
    """The product of complex numbers; both and the result are float [..., 2] = (real, imaginary)."""
    real = a_2[..., 0] * b_2[..., 0] - a_2[..., 1] * b_2[..., 1]
    imaginary = a_2[..., 0] * b_2[..., 1] + a_2[..., 1] * b_2[..., 0]
    return torch.stack((real, imaginary), -1)


def conjugate(a_2: Tensor) -> Tensor:
    """The complex conjugate; float [..., 2] = (real, imaginary), as is the result."""
    return torch.stack((a_2[..., 0], -a_2[..., 1]), -1)
