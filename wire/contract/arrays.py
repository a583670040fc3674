"""Numbers on the wire: complex symbols and pictures, to bytes and back.

Symbols are interleaved I,Q in little-endian bytes with a sample type (a `repeated float` would be
about a hundred times slower). Lengths are checked before anything is read.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from wire.contract.sizes import size_of
from wire.runtime.errors import FrameError
from wire.v1 import types_pb2

SAMPLE_TYPES: Final = {
    "f32": types_pb2.SAMPLE_TYPE_F32,
    "f16": types_pb2.SAMPLE_TYPE_F16,
    "i8": types_pb2.SAMPLE_TYPE_I8,
}
_DTYPES: Final[dict[int, np.dtype[Any]]] = {
    types_pb2.SAMPLE_TYPE_F32: np.dtype("<f4"),
    types_pb2.SAMPLE_TYPE_F16: np.dtype("<f2"),
    types_pb2.SAMPLE_TYPE_I8: np.dtype("i1"),
}


def pack_complex(values: NDArray[np.complex64], sample_type: str = "f32") -> types_pb2.ComplexArray:
    """Complex numbers of any shape to the wire.

    values       complex64, read row-major
    sample_type  "f32", "f16" or "i8"; i8 scales to the largest |I| or |Q|
    """
    real = np.ascontiguousarray(values, dtype=np.complex64).reshape(-1).view(np.float32)
    kind = SAMPLE_TYPES[sample_type]
    scale = 0.0
    if sample_type == "i8":
        peak = float(np.max(np.abs(real), initial=0.0))
        scale = peak / 127.0 if peak > 0.0 else 1.0
        data = np.rint(real / scale).astype("i1").tobytes()
    else:
        data = real.astype(_DTYPES[kind], copy=False).tobytes()
    return types_pb2.ComplexArray(sample_type=kind, count=real.size // 2, data=data, scale=scale)


def unpack_complex(array: types_pb2.ComplexArray) -> NDArray[np.complex64]:
    """The wire to complex numbers.

    returns  complex64 [count]; for f32 a read-only view of the message's bytes
    raises   FrameError if the sample type is unknown or the length does not fit the count
    """
    dtype = _DTYPES.get(array.sample_type)
    if dtype is None:
        raise FrameError("type", f"sample type {array.sample_type} is unknown; send one of {', '.join(SAMPLE_TYPES)}")
    expected = array.count * 2 * dtype.itemsize
    if len(array.data) != expected:
        raise FrameError(
            "shape",
            f"{array.count} complex symbols of {dtype.itemsize} bytes a number are {expected} bytes,"
            f" but {len(array.data)} came; send count * 2 * {dtype.itemsize} bytes",
        )
    real = np.frombuffer(array.data, dtype=dtype)
    if array.sample_type == types_pb2.SAMPLE_TYPE_I8:
        real = real.astype(np.float32) * np.float32(array.scale)
    return real.astype(np.float32, copy=False).view(np.complex64)


def pack_picture(picture: NDArray[np.uint8]) -> types_pb2.Picture:
    """An RGB picture, uint8 [height, width, 3], to the wire without compression."""
    height, width, _ = picture.shape
    data = np.ascontiguousarray(picture).tobytes()
    return types_pb2.Picture(format=types_pb2.PICTURE_FORMAT_RGB8, height=height, width=width, data=data)


def unpack_picture(picture: types_pb2.Picture) -> NDArray[np.uint8]:
    """The wire to an RGB picture.

    returns  uint8 [height, width, 3], read-only
    raises   FrameError if the format, the size or the length is not that of an RGB8 picture that a codec takes
    """
    if picture.format != types_pb2.PICTURE_FORMAT_RGB8:
        raise FrameError("type", f"picture format {picture.format} is not taken here; send RGB8")
    if not picture.height or not picture.width:
        raise FrameError("shape", "the picture's height and width are not set; send its rows and columns")
    try:
        size = size_of(picture)
    except ValueError as problem:
        raise FrameError("shape", str(problem)) from None
    expected = 3 * size.pixels
    if len(picture.data) != expected:
        raise FrameError("shape", f"the picture has {len(picture.data)} bytes; {expected} are needed")
    return np.frombuffer(picture.data, dtype=np.uint8).reshape(size.rows, size.columns, 3)
