"""The shape of a codec as plain numbers. The presets are one code with different numbers.

`paper`  Fig. 1 of the paper, as far as its text tells: 256 channels, 5x5 kernels, transposed convolutions, one SCAM.
         For GPUs.
`small`  What is shipped: 3x3 kernels, pixel-shuffle, a linear path, SCAM with positions, epipolar attention, and
         symbols spread over the picture. Runs on two CPU cores.
`medium` Wider than `small`, to be trained on a GPU and to run on two CPU cores: 0.96 GMAC a picture in the encoder and
         5.5 a pair in the decoder, where `small` has 0.45 and 3.8.
`tiny`   `small` with few channels, for tests.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from jscc.model.interleaver import INTERLEAVERS, Interleaver
from wire import geometry

Upsampling = Literal["pixel_shuffle", "transposed"]


@dataclass(frozen=True, slots=True)
class CodecConfig:
    """Widths run from the picture inwards in the encoder (1/2, 1/4, 1/8) and outwards in the decoder (1/8, 1/4, 1/2).

    encoder_blocks   residual blocks after each of the three downscalings
    decoder_blocks   residual blocks: before SCAM, after SCAM, before and after the epipolar attention at 1/4, at 1/2
    joint            False = the baseline without joint decoding: neither SCAM nor anything else of the other view
    scam_positional  add positions to SCAM's queries and keys
    epipolar         epipolar attention, along rows, at 1/4 scale (for rectified cameras)
    epipolar_heads   its heads, a divisor of the decoder's width at 1/4
    linear_path      a linear 8x8x3 -> 20 -> 8x8x3 codec beside the network
    interleaver      the order in which symbols are sent: as they lie in the picture, or spread over it; no weight
                     depends on it
    raises           ValueError for numbers that cannot be built or that make other than 5120 symbols

    The names are part of the codec hash and of every file of weights: they stay.
    """

    encoder_widths: tuple[int, int, int] = (32, 96, 128)
    encoder_kernels: tuple[int, int, int] = (5, 3, 3)
    encoder_blocks: tuple[int, int, int] = (0, 0, 2)
    decoder_widths: tuple[int, int, int] = (128, 80, 16)
    decoder_kernel: int = 3
    decoder_blocks: tuple[int, int, int, int, int] = (2, 2, 1, 2, 0)
    upsampling: Upsampling = "pixel_shuffle"
    latent_channels: int = geometry.LATENT_CHANNELS
    joint: bool = True
    scam_positional: bool = True
    epipolar: bool = True
    epipolar_heads: int = 4
    linear_path: bool = True
    interleaver: Interleaver = "none"

    def __post_init__(self) -> None:
        if self.upsampling not in ("pixel_shuffle", "transposed"):
            raise ValueError(f"upsampling is {self.upsampling!r}; allowed: 'pixel_shuffle', 'transposed'")
        if self.interleaver not in INTERLEAVERS:
            raise ValueError(f"interleaver is {self.interleaver!r}; allowed: {', '.join(map(repr, INTERLEAVERS))}")
        if self.latent_channels != geometry.LATENT_CHANNELS:
            raise ValueError(
                f"latent_channels is {self.latent_channels}; it must be {geometry.LATENT_CHANNELS},"
                f" which makes the {geometry.SYMBOLS} symbols that a frame carries"
            )
        for name, least in (("encoder_widths", 1), ("decoder_widths", 1), ("encoder_blocks", 0), ("decoder_blocks", 0)):
            if min(getattr(self, name)) < least:
                raise ValueError(f"{name} is {list(getattr(self, name))}; each must be at least {least}")
        if min(self.epipolar_heads, self.decoder_kernel, *self.encoder_kernels) < 1:
            raise ValueError("epipolar_heads and kernel sizes must be at least 1")
        if self.decoder_widths[1] % self.epipolar_heads:
            raise ValueError(
                f"epipolar_heads {self.epipolar_heads} must divide the decoder's width at 1/4, {self.decoder_widths[1]}"
            )
        if self.joint and self.scam_positional and self.decoder_widths[0] % 4:
            raise ValueError(
                f"the decoder's width at 1/8 is {self.decoder_widths[0]}; scam_positional needs a multiple of 4"
            )
        if any(kernel % 2 == 0 for kernel in (*self.encoder_kernels, self.decoder_kernel)):
            raise ValueError("kernel sizes must be odd")

    def to_dict(self) -> dict[str, Any]:
        """The config as JSON types."""
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in dataclasses.asdict(self).items()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "CodecConfig":
        """The inverse of `to_dict`; an unknown key or a list of the wrong length raises ValueError."""
        fields = {field.name: field for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - set(fields))
        if unknown:
            raise ValueError(f"unknown codec config key {', '.join(unknown)}; allowed: {', '.join(sorted(fields))}")
        clean: dict[str, Any] = {}
        for key, value in values.items():
            default = fields[key].default
            if isinstance(default, tuple):
                if not isinstance(value, list | tuple) or len(value) != len(default):
                    raise ValueError(f"codec config key {key} is {value!r}; expected {len(default)} numbers")
                clean[key] = tuple(int(item) for item in value)
            elif type(value) is not type(default):
                raise ValueError(f"codec config key {key} is {value!r}; expected {type(default).__name__}")
            else:
                clean[key] = value
        return cls(**clean)


PRESETS: Final[dict[str, CodecConfig]] = {
    "paper": CodecConfig(
        encoder_widths=(256, 256, 256),
        encoder_kernels=(5, 5, 5),
        encoder_blocks=(0, 0, 0),
        decoder_widths=(256, 256, 256),
        decoder_kernel=5,
        decoder_blocks=(0, 0, 0, 0, 0),
        upsampling="transposed",
        scam_positional=False,
        epipolar=False,
        linear_path=False,
    ),
    "small": CodecConfig(interleaver="golden"),
    "medium": CodecConfig(encoder_widths=(48, 128, 192), decoder_widths=(160, 96, 16), interleaver="golden"),
    "tiny": CodecConfig(
        encoder_widths=(8, 12, 16),
        encoder_blocks=(0, 0, 1),
        decoder_widths=(16, 16, 8),
        decoder_blocks=(1, 1, 0, 1, 0),
        epipolar_heads=2,
        interleaver="golden",
    ),
}


def preset(name: str, *, joint: bool = True) -> CodecConfig:
    """The preset called `name`; with `joint=False` its baseline, which decodes each view alone."""
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}; allowed: {', '.join(PRESETS)}")
    return dataclasses.replace(PRESETS[name], joint=joint)
