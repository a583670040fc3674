"""HEVC intra pictures through PyAV and libx265: the stand-in for BPG, which is HEVC intra in a small container.

What counts: the picture's NAL unit (two bytes of NAL header, slice header, slice data). VPS, SPS and PPS depend on the
picture's size alone, not on what it shows or on the quality, so both sides know them (tests hold that); start codes are
framing that the link has anyway.
Colours: full-range BT.601 YCbCr with 8 bits, as `bpgenc` does by default.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jscc.evaluate.coding.rate_search import between
from jscc.evaluate.extras import require
from jscc.evaluate.systems.base import Bytes, Picture
from wire.geometry import CHANNELS, DEFAULT_SIZE, PictureSize
from wire.runtime.errors import UserError

Chroma = Literal["4:2:0", "4:4:4"]

_PIXELS: Final[dict[Chroma, str]] = {"4:2:0": "yuv420p", "4:4:4": "yuv444p"}
_TO_YCC: Final = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
_TO_RGB: Final = np.linalg.inv(_TO_YCC)
_OFFSET: Final = np.array([0.0, 128.0, 128.0])[:, None, None]
_SETTINGS: Final = "keyint=1:ipratio=1:info=0:repeat-headers=1:annexb=1:pools=none:frame-threads=1:wpp=0:log-level=none"
"""`ipratio=1`, because x265 otherwise codes intra pictures 3 steps finer than the QP given: 51 would be 48."""
_START_CODE: Final = b"\x00\x00\x00\x01"


@dataclass(frozen=True, slots=True)
class HevcIntra:
    """One chroma format of x265's still pictures; a quality is 51 - QP.

    preset  of x265: how long it may look for the smallest file
    raises  UserError if PyAV is missing or has no libx265
    source  ITU-T H.265
    """

    chroma: Chroma
    preset: str = "placebo"

    @property
    def name(self) -> str:
        return f"hevc-intra-{self.chroma.replace(':', '')}"

    def qualities(self, budget: int) -> range:
        return range(52)

    def guess(self, budget: int, sizes: Mapping[int, int]) -> tuple[int, int]:
        return guess_quality(budget, sizes)

    def encode(self, picture: Bytes, quality: int) -> bytes:
        size = PictureSize(picture.shape[1], picture.shape[2])
        return _split(_encode(_to_planes(picture, self.chroma), self.chroma, size, 51 - quality, self.preset))[1]

    def decode(self, payload: bytes, size: PictureSize = DEFAULT_SIZE) -> Picture:
        av = require("av", "bpg")
        decoder = av.CodecContext.create("hevc", "r")
        decoder.thread_count = 1
        packet = av.Packet(parameter_sets(self.chroma, self.preset, size) + _START_CODE + payload)
        frames = [*decoder.decode(packet), *decoder.decode(None)]
        return _to_picture(frames[0].to_ndarray(), self.chroma, size)


def guess_quality(budget: int, sizes: Mapping[int, int]) -> tuple[int, int]:
    """First try and first step for a quality of 51 - QP: about 1100 bytes at QP 40 and 128x256, twice as many every 5
    steps.

    budget  bytes
    sizes   bytes by quality, of what is known of the picture already
    """
    known = between(sizes, budget)
    return (11 + round(5 * math.log2(max(budget, 1) / 1100)), 2) if known is None else (known, 1)


@lru_cache(maxsize=8)
def parameter_sets(chroma: Chroma, preset: str = "placebo", size: PictureSize = DEFAULT_SIZE) -> bytes:
    """VPS, SPS and PPS with their start codes: those of any picture of a size.

    raises  UserError if there is no encoder
    """
    grey = np.full((CHANNELS, size.rows, size.columns), 128, np.uint8)
    return _split(_encode(_to_planes(grey, chroma), chroma, size, 40, preset))[0]


def _encode(planes: Bytes, chroma: Chroma, size: PictureSize, qp: int, preset: str) -> bytes:
    """Planes as PyAV wants them -> an Annex B stream of one picture."""
    av = require("av", "bpg")
    try:
        encoder = av.CodecContext.create("libx265", "w")
    except av.codec.codec.UnknownCodecError:
        raise UserError(
            "bpg needs an HEVC encoder, and this PyAV has no libx265; put bpgenc and bpgdec on PATH or "
            "install PyAV from a wheel"
        ) from None
    encoder.width, encoder.height, encoder.pix_fmt = size.columns, size.rows, _PIXELS[chroma]
    encoder.time_base = Fraction(1, 25)
    encoder.thread_count = 1
    encoder.options = {"preset": preset, "tune": "psnr", "x265-params": f"qp={qp}:{_SETTINGS}"}
    frame = av.VideoFrame.from_ndarray(planes, format=_PIXELS[chroma])
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def _split(stream: bytes) -> tuple[bytes, bytes]:
    """Annex B stream -> (parameter sets with start codes, the one picture NAL unit without)."""
    units = [unit for unit in re.split(b"\x00\x00\x00?\x01", stream) if unit]
    pictures = [unit for unit in units if unit[0] >> 1 & 63 < 32]
    if len(pictures) != 1:
        raise RuntimeError(f"expected one picture NAL unit, x265 wrote {len(pictures)}")
    return b"".join(_START_CODE + unit for unit in units if unit is not pictures[0]), pictures[0]


def _to_planes(picture: Bytes, chroma: Chroma) -> Bytes:
    """RGB uint8 [3, rows, columns] -> the planes stacked as PyAV's array of that pixel format."""
    ycc = np.tensordot(_TO_YCC, picture.astype(np.float64), 1) + _OFFSET
    if chroma == "4:2:0":
        _, rows, columns = picture.shape
        halves = ycc[1:].reshape(2, rows // 2, 2, columns // 2, 2).mean(axis=(2, 4))
        flat = np.concatenate([ycc[0].ravel(), halves.ravel()]).reshape(rows * 3 // 2, columns)
    else:
        flat = ycc
    planes: Bytes = np.clip(np.rint(flat), 0, 255).astype(np.uint8)
    return planes


def _to_picture(planes: Bytes, chroma: Chroma, size: PictureSize) -> Picture:
    """The inverse of `_to_planes`, as float32 RGB in [0, 1]; halved chroma is interpolated bicubically."""
    samples: NDArray[np.float64] = planes.astype(np.float64)
    if chroma == "4:2:0":
        flat = samples.ravel()
        pixels = size.rows * size.columns
        halves = flat[pixels:].reshape(2, size.rows // 2, size.columns // 2).astype(np.float32)
        wide = [Image.fromarray(half).resize((size.columns, size.rows), Image.Resampling.BICUBIC) for half in halves]
        samples = np.stack([flat[:pixels].reshape(size.rows, size.columns), *map(np.asarray, wide)])
    rgb = np.tensordot(_TO_RGB, samples.reshape(3, size.rows, size.columns) - _OFFSET, 1)
    return np.clip(rgb / 255.0, 0.0, 1.0).astype(np.float32)
