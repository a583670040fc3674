"""The learned transform of both codecs: four strided convolutions with GDN between them, and their mirror.

Beside them stands a linear block transform, which a training begins with: so it starts as a fair codec.

source  Ballé, Laparra, Simoncelli, "End-to-end optimized image compression", ICLR 2017
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDE = 16
"""Pixels of a picture, in each direction, to one latent."""


class GDN(nn.Module):
    """Generalised divisive normalisation: y_i = x_i / sqrt(beta_i + sum_j gamma_ij x_j^2), or times the root.

    inverse  multiply instead of dividing, as decoders do
    shapes   [N, C, H, W] -> the same
    source   Ballé et al. 2017, equation (2); beta and gamma are squares of the weights, so never negative
    """

    def __init__(self, channels: int, *, inverse: bool = False) -> None:
        super().__init__()
        self.inverse = inverse
        self.root_beta = nn.Parameter(torch.ones(channels))
        self.root_gamma = nn.Parameter(torch.eye(channels) * (0.1**0.5 - 0.01) + 0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise."""
        gamma = self.root_gamma.square()[:, :, None, None]
        power = F.conv2d(x.square(), gamma, self.root_beta.square() + 1e-6).float()
        return x * (power.sqrt() if self.inverse else power.rsqrt())


class Analysis(nn.Module):
    """Picture -> latent: a block transform of 16x16 pixels plus what the four convolutions add.

    widths  channels after each of the four convolutions; the last are those of the latent
    shapes  float [N, 3, H, W] in [0, 1] -> float32 [N, widths[3], H / 16, W / 16]
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        kernels = (5, 5, 5, 3)
        self.block = nn.Conv2d(3, widths[3], STRIDE, stride=STRIDE, bias=False)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, kernel, stride=2, padding=kernel // 2)
            for before, after, kernel in zip((3, *widths[:3]), widths, kernels, strict=True)
        )
        self.normalisations = nn.ModuleList(GDN(width) for width in widths[:3])

    def forward(self, pictures: Tensor) -> Tensor:
        """Analyse."""
        x = pictures - 0.5
        with torch.autocast("cpu", enabled=False):  # bfloat16 would round the mean colour more coarsely than the codec
            latent: Tensor = self.block(x.float())
        x = self.convolutions[0](x)
        for normalise, convolve in zip(self.normalisations, list(self.convolutions)[1:], strict=True):
            x = convolve(normalise(x))
        return torch.add(latent, x)


class Synthesis(nn.Module):
    """Latent -> picture, the mirror of `Analysis`.

    latent  channels of the latent
    widths  as of the analysis
    side    channels of side information, which only the convolutions see
    shapes  [N, latent + side, H / 16, W / 16] -> float32 [N, 3, H, W], not clamped
    """

    def __init__(self, latent: int, widths: Sequence[int], side: int = 0) -> None:
        super().__init__()
        first, second, third = widths[:3]
        kernels = (3, 5, 5, 5)
        self.latent = latent
        self.scales = nn.Parameter(torch.ones(latent + side))
        self.block = nn.ConvTranspose2d(latent, 3, STRIDE, stride=STRIDE, bias=False)
        sizes = zip((latent + side, third, second, first), (third, second, first, 3), kernels, strict=True)
        self.convolutions = nn.ModuleList(
            nn.ConvTranspose2d(before, after, kernel, stride=2, padding=kernel // 2, output_padding=1)
            for before, after, kernel in sizes
        )
        self.normalisations = nn.ModuleList(GDN(width, inverse=True) for width in (third, second, first))

    def forward(self, latent: Tensor) -> Tensor:
        """Synthesise."""
        with torch.autocast("cpu", enabled=False):
            picture: Tensor = self.block(latent[:, : self.latent].float()) + 0.5
        x: Tensor = self.convolutions[0](latent * self.scales[:, None, None])
        for normalise, convolve in zip(self.normalisations, list(self.convolutions)[1:], strict=True):
            x = convolve(normalise(x))
        return torch.add(picture, x)


@torch.no_grad()
def start_as_block_transform(analysis: Analysis, synthesis: Synthesis, pictures: Tensor) -> Tensor:
    """Begin as the best linear codec of 16x16 blocks, their principal components; the convolutions add nothing yet.

    pictures  float [N, 3, H, W] in [0, 1], many blocks
    returns   standard deviation of each channel of the latent, [C]
    """
    blocks = pictures.unfold(2, STRIDE, STRIDE).unfold(3, STRIDE, STRIDE).permute(0, 2, 3, 1, 4, 5).flatten(0, 2)
    rows = (blocks.flatten(1) - 0.5).double()
    variances, vectors = torch.linalg.eigh(rows.T @ rows / len(rows))
    count = synthesis.latent
    basis = vectors.T.flip(0)[:count].float().reshape(count, 3, STRIDE, STRIDE)
    deviation: Tensor = variances.flip(0)[:count].clamp_min(1e-9).sqrt().float()
    for block in (analysis.block, synthesis.block):
        block.weight.copy_(basis)
    synthesis.scales[:count] = 1 / (deviation + 0.1)
    for last in (analysis.convolutions[3], synthesis.convolutions[3]):
        for parameter in last.parameters():
            parameter.zero_()
    return deviation
