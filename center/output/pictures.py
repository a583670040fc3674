"""Pictures out of the center: as they are, or as a file."""

import io
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wire.contract.arrays import pack_picture
from wire.runtime.errors import UserError
from wire.v1 import types_pb2

JPEG_QUALITY: Final = 92
_FILES: Final[dict[int, tuple[str, dict[str, int]]]] = {
    types_pb2.PICTURE_FORMAT_PNG: ("PNG", {"compress_level": 1}),
    types_pb2.PICTURE_FORMAT_JPEG: ("JPEG", {"quality": JPEG_QUALITY}),
}


def check_format(kind: int) -> None:
    """raises UserError if `pack` cannot make this format"""
    if kind not in (types_pb2.PICTURE_FORMAT_UNSPECIFIED, types_pb2.PICTURE_FORMAT_RGB8, *_FILES):
        raise UserError(f"picture format {kind} is unknown; ask for RGB8, PNG or JPEG")


def pack(picture: NDArray[np.uint8], kind: "types_pb2.PictureFormat.ValueType") -> types_pb2.Picture:
    """uint8 [height, width, 3] to the wire; files take a few milliseconds, so not for the event loop.

    kind    unspecified is RGB8
    raises  UserError if the format is unknown
    """
    check_format(kind)
    if kind not in _FILES:
        return pack_picture(picture)
    name, options = _FILES[kind]
    file = io.BytesIO()
    Image.fromarray(picture).save(file, name, **options)
    height, width, _ = picture.shape
    return types_pb2.Picture(format=kind, height=height, width=width, data=file.getvalue())
