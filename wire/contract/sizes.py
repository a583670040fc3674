"""How a size of pictures is written in a configuration, how it travels, and how long a frame of it may be."""

from typing import Annotated, Any, Final, Protocol

from google.protobuf.message import Message
from pydantic import BeforeValidator, PlainSerializer

from wire.geometry import DEFAULT_SIZE, PictureSize
from wire.runtime.errors import FrameError

BESIDE: Final = 4_096
"""Bytes that a frame may have beside its symbols and as many gains; ours have some hundred."""

AUTO: Final = "auto"
"""In the configuration of an edge: the largest size that its camera's pictures allow."""


class Sized(Protocol):
    """A message that says rows and columns of its pictures: Hello, Picture, RecordedPair."""

    height: int
    width: int


def size_of(message: Sized) -> PictureSize:
    """What a message says; 128x256 if it says nothing, as what was made before sizes could be said.

    raises  ValueError if no codec takes such a size
    """
    if not message.height and not message.width:
        return DEFAULT_SIZE
    return PictureSize(message.height, message.width)


def longest_frame(size: PictureSize) -> int:
    """Bytes of a frame with pictures of a size at most: symbols and one gain each as 32-bit numbers, and some.

    What nobody knows in a message stays in it: it waits in queues and stands in recordings, for as long as it likes.
    """
    return 2 * 8 * size.symbols + BESIDE


def check_frame(frame: Message, size: PictureSize) -> None:
    """raises FrameError (shape) if a frame is longer than one of its size can be"""
    if (has := frame.ByteSize()) > (most := longest_frame(size)):
        raise FrameError("shape", f"the frame has {has} bytes; one of a picture of {size} has at most {most}")


def _read(value: Any) -> Any:
    if isinstance(value, PictureSize):
        return value
    if not isinstance(value, str):
        raise ValueError(f"a size is rows x columns, such as {DEFAULT_SIZE}")
    return PictureSize.parse(value)


def _read_or_auto(value: Any) -> Any:
    return None if value in (None, AUTO) else _read(value)


Size = Annotated[PictureSize, BeforeValidator(_read), PlainSerializer(str)]
"""For configurations: `256x512`."""

SizeOrAuto = Annotated[
    PictureSize | None, BeforeValidator(_read_or_auto), PlainSerializer(lambda size: str(size or AUTO))
]
"""For configurations: `256x512` or `auto`, which is None."""
