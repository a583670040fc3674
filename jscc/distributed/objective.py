"""What is minimised: bits per pixel plus lambda times the distortion, at rate levels that change from sample to sample.

Distortion is the mean squared error in 255ths. A level's loss is divided by sqrt(lambda), or the highest rate would
rule the gradient.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from jscc.distributed.codec import Dsin, Dwsic, TransformCodec
from jscc.distributed.settings import DistributedSettings


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one step: what is minimised, with gradients; mean PSNR, dB, and bits per pixel of the transmitted pictures."""

    loss: Tensor
    psnr: float
    bpp: float


def draw_levels(count: int, levels: int, generator: torch.Generator) -> Tensor:
    """Rate levels between 0 and the last, float [count]: one in each of `count` equal parts, in random order."""
    part = torch.randperm(count, generator=generator)
    return (part + torch.rand(count, generator=generator)) / count * (levels - 1)


def lambda_at(lambdas: Sequence[float], level_N: Tensor) -> Tensor:
    """Lambda at levels that may lie between two, interpolated geometrically."""
    table = torch.tensor(lambdas).log()
    low = level_N.floor().long().clamp(max=len(lambdas) - 1)
    high = (low + 1).clamp(max=len(lambdas) - 1)
    return torch.lerp(table[low], table[high], level_N - low).exp()


def objective(
    model: nn.Module,
    lambdas: Sequence[float],
    settings: DistributedSettings,
    pairs_BV3HW: Tensor,
    generator: torch.Generator,
) -> Outcome:
    """The loss of a batch of pairs, float [B, 2, 3, H, W]; all randomness comes from the generator."""
    if isinstance(model, TransformCodec):
        return _codec(model, lambdas, pairs_BV3HW.flatten(0, 1), generator)
    if isinstance(model, Dwsic):
        return _dwsic(model, lambdas, settings, pairs_BV3HW, generator)
    assert isinstance(model, Dsin)
    return _dsin(model, lambdas, pairs_BV3HW, generator)


def _codec(model: TransformCodec, lambdas: Sequence[float], pictures: Tensor, generator: torch.Generator) -> Outcome:
    level = draw_levels(len(pictures), len(lambdas), generator)
    weight = lambda_at(lambdas, level)
    decoded, bits = model(pictures, level, generator)
    cost, error, bpp = _rate_distortion(decoded, pictures, bits, weight)
    return _outcome(cost / weight.sqrt(), lambdas, error, bpp)


def _dwsic(
    model: Dwsic, lambdas: Sequence[float], settings: DistributedSettings, pairs: Tensor, generator: torch.Generator
) -> Outcome:
    own, other = pairs.unbind(1)
    level = draw_levels(len(pairs), len(lambdas), generator)
    weight = lambda_at(lambdas, level)
    (decoded, bits), (decoded_other, bits_other), bits_common = model.training_pass(own, other, level, generator)
    cost, error, bpp = _rate_distortion(decoded, own, bits, weight)
    cost_other, _, _ = _rate_distortion(decoded_other, other, bits_other, weight)
    common = bits_common / _pixels(own)
    total = cost + settings.alpha * cost_other + settings.beta * common
    return _outcome(total / weight.sqrt(), lambdas, error, bpp)


def _dsin(model: Dsin, lambdas: Sequence[float], pairs: Tensor, generator: torch.Generator) -> Outcome:
    """The codec is frozen: what is left to minimise is the distortion of the fused picture."""
    own, other = pairs.unbind(1)
    level = draw_levels(len(pairs), len(lambdas), generator)
    weight = lambda_at(lambdas, level)
    with torch.no_grad():
        decoded, bits = model.codec(own, level)
    fused = model.fuse(decoded.float(), other, level)
    _, error, bpp = _rate_distortion(fused, own, bits, weight)
    return _outcome(weight.sqrt() * 255**2 * error, lambdas, error, bpp)


def _pixels(pictures: Tensor) -> int:
    return pictures.shape[-1] * pictures.shape[-2]


def _rate_distortion(decoded: Tensor, truth: Tensor, bits_N: Tensor, lambda_N: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(Cost, mean squared error, bits per pixel) of each picture."""
    error = (decoded.float() - truth).square().flatten(1).mean(1)
    bpp = bits_N / _pixels(truth)
    return bpp + lambda_N * 255**2 * error, error, bpp


def _outcome(weighted_N: Tensor, lambdas: Sequence[float], error_N: Tensor, bpp_N: Tensor) -> Outcome:
    middle = math.sqrt(lambdas[len(lambdas) // 2])
    psnr = float(-10 * error_N.detach().clamp_min(1e-10).log10().mean())
    return Outcome(weighted_N.mean() * middle, psnr, float(bpp_N.detach().mean()))
