"""Pictures as messages carry them: as they are, or as a file."""

import io
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from center.output import jpeg
from wire.contract.arrays import pack_picture
from wire.runtime.errors import UserError
from wire.v1 import types_pb2


def _png(picture: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", compress_level=1)
    return file.getvalue()


_FILES: Final[dict[int, Callable[[NDArray[np.uint8]], bytes]]] = {
    types_pb2.PICTURE_FORMAT_PNG: _png,
    types_pb2.PICTURE_FORMAT_JPEG: jpeg.encode,
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
    height, width, _ = picture.shape
    return types_pb2.Picture(format=kind, height=height, width=width, data=_FILES[kind](picture))
