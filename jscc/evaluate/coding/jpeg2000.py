"""JPEG 2000 (Part 1) through Pillow's OpenJPEG: irreversible 9-7 wavelet, raw codestream without a file format.

What counts: everything from the tile-part header on (SOT, packets, EOC). The main header (SIZ, COD, QCD, comment) is
the same for every picture of a size and every rate, so both sides know it; tests hold that. `PILLOW_DEFAULTS` counts it
all.

Pillow switches the colour transform **off** unless told (`mct=0`): R, G and B are then coded as three unrelated
pictures, which costs 2 to 3.7 dB here. Other encoders have it on, so the bench has it on; docs/evaluation.md has the
numbers.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image, features

from jscc.evaluate.systems.base import Bytes, Picture, unit
from wire.geometry import CHANNELS, DEFAULT_SIZE, PictureSize
from wire.runtime.errors import UserError

_START_OF_TILE: Final = b"\xff\x90"


@dataclass(frozen=True, slots=True)
class Jpeg2000:
    """One way to write JPEG 2000.

    colour_transform  the standard's irreversible colour transform (YCbCr)
    resolutions       wavelet decompositions + 1
    header_counts     count the main header too
    raises            UserError if Pillow has no OpenJPEG
    source            ITU-T T.800
    """

    name: str = "jpeg2000"
    colour_transform: bool = True
    resolutions: int = 5
    header_counts: bool = False

    def __post_init__(self) -> None:
        if not features.check("jpg_2000"):
            raise UserError(
                "jpeg2000 needs a Pillow with OpenJPEG, and this one has none; reinstall Pillow from a wheel"
            )

    def qualities(self, budget: int) -> range:
        """A quality is a target size in bytes, main header included; the encoder stays somewhat below it."""
        return range(max(budget // 2, 1), budget + 512)

    def guess(self, budget: int, sizes: Mapping[int, int]) -> tuple[int, int]:
        """The encoder mostly ends 120 to 170 bytes below its target, header aside; sizes come in jumps."""
        return budget + (-16 if self.header_counts else 112), 16

    def encode(self, picture: Bytes, quality: int) -> bytes:
        stream = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(picture.transpose(1, 2, 0))).save(
            stream,
            "JPEG2000",
            no_jp2=True,
            irreversible=True,
            mct=int(self.colour_transform),
            num_resolutions=self.resolutions,
            quality_mode="rates",
            quality_layers=[picture.size / quality],
        )
        codestream = stream.getvalue()
        return codestream if self.header_counts else codestream[codestream.index(_START_OF_TILE) :]

    def decode(self, payload: bytes, size: PictureSize = DEFAULT_SIZE) -> Picture:
        codestream = payload if self.header_counts else self.header(size) + payload
        with Image.open(io.BytesIO(codestream)) as opened:
            pixels = np.asarray(opened.convert("RGB"), np.uint8)
        return unit(np.ascontiguousarray(pixels.transpose(2, 0, 1)))

    def header(self, size: PictureSize = DEFAULT_SIZE) -> bytes:
        """The main header, which both sides know: that of any picture of a size."""
        whole = Jpeg2000(self.name, self.colour_transform, self.resolutions, header_counts=True)
        codestream = whole.encode(np.zeros((CHANNELS, size.rows, size.columns), np.uint8), 1000)
        return codestream[: codestream.index(_START_OF_TILE)]


PILLOW_DEFAULTS: Final = Jpeg2000("jpeg2000-pillow", colour_transform=False, resolutions=6, header_counts=True)
"""What `Image.save("x.j2k", irreversible=True)` does: no colour transform, whole codestream counted."""
