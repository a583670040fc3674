"""DSIN's fusion: a small dilated network that puts the decoded picture and the patches of the other view together."""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

DILATIONS: Final = (1, 2, 4, 8, 16, 1)
"""At half of the picture's size; the original has nine layers up to 128 at four times the size."""


class Fusion(nn.Module):
    """Decoded picture and synthesised view -> the final picture. It begins as the decoded picture itself.

    width   channels
    shapes  two of float [N, 3, H, W] in [0, 1] -> [N, 3, H, W]
    source  Ayzik and Avidan 2020, section 3.3 (SI-Net), after Chen, Xu, Koltun, ICCV 2017
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        sizes = (24, *[width] * (len(DILATIONS) - 1))
        self.layers = nn.ModuleList(
            nn.Conv2d(before, width, 3, padding=dilation, dilation=dilation)
            for before, dilation in zip(sizes, DILATIONS, strict=True)
        )
        self.last = nn.Conv2d(width, 12, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, decoded: Tensor, synthesised: Tensor) -> Tensor:
        """Fuse."""
        x = F.pixel_unshuffle(torch.cat((decoded, synthesised), 1) - 0.5, 2)
        for index, layer in enumerate(self.layers):
            y = F.leaky_relu(layer(x), 0.2)
            x = y if index == 0 else x + y
        return decoded + F.pixel_shuffle(self.last(x), 2)
