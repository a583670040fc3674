"""Rate and quality of a codec on the pictures kept for choosing, at each of its rate levels."""

import torch
from torch import Tensor, nn

from jscc.distributed.codec import Dsin, Dwsic, TransformCodec
from jscc.quality import psnr


@torch.inference_mode()
def rate_distortion_table(model: nn.Module, pairs_BV3HW: Tensor) -> dict[str, float]:
    """Mean bits per pixel, by the model's density, and mean PSNR in dB over both views, for every rate level.

    pairs    float [B, 2, 3, 128, 256] in [0, 1]
    returns  {"bpp@0": 0.07, "psnr@0": 20.9, "bpp@1": ...}
    """
    codec = model if isinstance(model, TransformCodec) else model.codec
    assert isinstance(codec, TransformCodec)
    own, other = both_ways(pairs_BV3HW)
    latent = torch.cat([codec.analysis(part) for part in torch.split(own, 5)])
    table: dict[str, float] = {}
    for number in range(codec.bottleneck.levels):
        level = torch.full((len(own),), float(number))
        restored, bits = codec.bottleneck(latent, level)
        parts = zip(torch.split(restored, 5), torch.split(other, 5), torch.split(level, 5), strict=True)
        decoded = torch.cat([reconstruct(model, *part) for part in parts])
        table[f"bpp@{number}"] = float(bits.mean()) / (own.shape[-1] * own.shape[-2])
        table[f"psnr@{number}"] = float(psnr(decoded, own).mean())
    return table


def both_ways(pairs_BV3HW: Tensor) -> tuple[Tensor, Tensor]:
    """Each view as the own one, the other as side information: two of [2 B, 3, H, W], all left views first.

    A right view and its neighbour are mirrored: then its neighbour too shows things further right, as training has it.
    """
    left, right = pairs_BV3HW.unbind(1)
    return torch.cat((left, right.flip(-1))), torch.cat((right, left.flip(-1)))


def reconstruct(model: nn.Module, restored: Tensor, other: Tensor, level_N: Tensor) -> Tensor:
    """The receiver's picture, not clamped, from the restored latent and the other view."""
    if isinstance(model, Dwsic):
        return model.decode(restored, other)
    if isinstance(model, Dsin):
        return model.fuse(model.codec.synthesis(restored), other, level_N)
    assert isinstance(model, TransformCodec)
    decoded: Tensor = model.synthesis(restored)
    return decoded
