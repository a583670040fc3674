"""How a size of pictures is written in a configuration, and how it travels: the one home of both."""

from typing import Annotated, Any, Final, Protocol

from pydantic import BeforeValidator, PlainSerializer

from wire.geometry import DEFAULT_SIZE, PictureSize

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
