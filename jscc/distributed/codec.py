"""The networks of DSIN and DWSIC around one transform codec."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, get_args

import torch
from torch import Tensor, nn

from jscc.distributed.bottleneck import LAMBDAS, Bottleneck
from jscc.distributed.fusion import Fusion
from jscc.distributed.patch_search import synthesise_view
from jscc.distributed.transform import Analysis, Synthesis

System = Literal["codec", "dwsic", "dsin"]
SYSTEMS: Final[tuple[System, ...]] = get_args(System)
COMMON_NOISE: Final = 1e-3
"""Variance of the noise on the common information in training, as the authors of DWSIC have it."""


@dataclass(frozen=True, slots=True)
class Widths:
    """Channels of the networks and lambdas of the rate levels; ValueError names what makes no sense.

    main     of the transform, after each of its convolutions
    private  of the transform of the other view's own information, which only training needs
    fusion   of DSIN's fusion network
    """

    main: tuple[int, ...] = (32, 64, 128, 256)
    private: tuple[int, ...] = (16, 32, 64, 96)
    fusion: int = 32
    lambdas: tuple[float, ...] = LAMBDAS

    def __post_init__(self) -> None:
        for name in ("main", "private"):
            if len(getattr(self, name)) != 4 or min(getattr(self, name)) < 1:
                raise ValueError(f"widths.{name} is {getattr(self, name)}; it must be four widths of at least 1")
        if not self.lambdas or list(self.lambdas) != sorted(set(self.lambdas)) or self.lambdas[0] <= 0:
            raise ValueError(f"--lambda is {self.lambdas}; it must be above 0, and rise")

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Widths":
        """The inverse of `to_dict`; TypeError for keys that are not known."""
        given: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        return cls(**given)


class TransformCodec(nn.Module):
    """Transform, entropy bottleneck, synthesis. Without side information it is a codec of its own.

    side  channels of side information that the synthesis gets beside the latent
    """

    def __init__(self, widths: Widths, side: int = 0) -> None:
        super().__init__()
        latent = widths.main[3]
        self.analysis = Analysis(widths.main)
        self.bottleneck = Bottleneck(latent, widths.lambdas)
        self.synthesis = Synthesis(latent, widths.main, side)

    def forward(
        self, pictures: Tensor, level_N: Tensor, generator: torch.Generator | None = None, side: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Float [N, 3, H, W] in [0, 1] -> (decoded, not clamped; bits [N]); `side` [N, channels, H / 16, W / 16]."""
        restored, bits = self.bottleneck(self.analysis(pictures), level_N, generator)
        decoded: Tensor = self.synthesis(restored if side is None else torch.cat((restored, side), 1))
        return decoded, bits


class Dwsic(nn.Module):
    """The decoder takes common information w out of the other view y alone, and reconstructs x from x's bits and w.

    In training y is reconstructed too, from w and information of its own, so that w is what both views share.

    source  Mital, Özyılkan, Garjani, Gündüz, "Neural distributed image compression using common information", DCC 2022
    """

    def __init__(self, widths: Widths) -> None:
        super().__init__()
        common = widths.main[3]
        self.codec = TransformCodec(widths, side=common)
        self.common = Analysis(widths.main)
        self.common_density = Bottleneck(common, (1.0,))
        private = Widths(main=widths.private, lambdas=widths.lambdas)
        self.private = TransformCodec(private, side=common)

    def side(self, other: Tensor) -> Tensor:
        """What the decoder makes of the other view: float [N, 3, H, W] -> [N, C, H / 16, W / 16]."""
        w: Tensor = self.common(other)
        return w

    def decode(self, restored: Tensor, other: Tensor) -> Tensor:
        """Restored latent and the other view -> picture, not clamped."""
        decoded: Tensor = self.codec.synthesis(torch.cat((restored, self.side(other)), 1))
        return decoded

    def training_pass(
        self, pictures: Tensor, other: Tensor, level_N: Tensor, generator: torch.Generator
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], Tensor]:
        """((x, its bits), (y, bits of its own information), bits of w): all that the loss needs."""
        w = self.common(other).float()
        w = w + math.sqrt(COMMON_NOISE) * torch.randn(w.shape, generator=generator)
        bits_w = self.common_density.bits(w, torch.ones_like(w))
        return (
            self.codec(pictures, level_N, generator, w),
            self.private(other, level_N, generator, w),
            bits_w,
        )


class Dsin(nn.Module):
    """A codec without side information, whose pictures are then fused with patches of the other view.

    source  Ayzik and Avidan, "Deep image compression using decoder side information", ECCV 2020
    """

    def __init__(self, widths: Widths) -> None:
        super().__init__()
        self.codec = TransformCodec(widths)
        self.fusion = Fusion(widths.fusion)

    def align(self, decoded: Tensor, other: Tensor, level_N: Tensor) -> Tensor:
        """A picture of patches of the other view that lie where the decoded one shows the same; no gradients.

        decoded  float [N, 3, H, W]; other: the other view, lossless
        level    at which the picture was coded: the other view is coded so too, for the search alone
        """
        with torch.no_grad():
            coded_other, _ = self.codec(other, level_N)
            return synthesise_view(decoded.detach().float(), coded_other.float(), other)

    def fuse(self, decoded: Tensor, other: Tensor, level_N: Tensor) -> Tensor:
        """The final picture, not clamped."""
        fused: Tensor = self.fusion(decoded, self.align(decoded, other, level_N))
        return fused


def build(system: System, widths: Widths) -> nn.Module:
    """The network of a system, with random weights."""
    makers: dict[System, type[nn.Module]] = {"codec": TransformCodec, "dwsic": Dwsic, "dsin": Dsin}
    return makers[system](widths)
