"""How many fields a message has, before it is parsed: its bytes may unpack to a hundred times as many.

A frame of 1.6 MB can be 780,000 empty stage times. Parsing them takes 100 ms in which an event loop serves nobody else,
and 45 MB, though they are refused as soon as they are counted. A legitimate message has some twenty fields, however
large it is, and walking over those takes 10 us.

source  https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Mapping
from functools import cache
from typing import Final

from google.protobuf.descriptor import Descriptor

MOST_FIELDS: Final = 256
"""Of a request, those of the messages in it included: a frame with gains and 16 stage times has 66."""

_LONGEST_VARINT: Final = 10


def has_too_many(data: bytes, kind: Descriptor, most: int = MOST_FIELDS) -> bool:
    """Whether a message has more fields than it may, known or not, those of the messages in it included.

    data  as it came; where it is no message, the fields before that count, and parsing it says so
    kind  of the message
    """
    left = most
    waiting = [(0, len(data), kind)]
    try:
        while waiting:
            at, end, kind = waiting.pop()
            inner = _messages_in(kind)
            while at < end:
                left -= 1
                if left < 0:
                    return True
                tag, at = _varint(data, at)
                wire_type = tag & 7
                if wire_type == 2:  # bytes, text or a message
                    length, at = _varint(data, at)
                    if (of := inner.get(tag >> 3)) is not None:
                        waiting.append((at, min(at + length, end), of))
                    at += length
                elif wire_type == 0:
                    _, at = _varint(data, at)
                else:  # begin and end of a group, which ours do not have, hold nothing: what is between counts as here
                    at += {1: 8, 5: 4}.get(wire_type, 0)
    except IndexError:  # it ends in the middle of a number
        pass
    return False


@cache
def _messages_in(kind: Descriptor) -> Mapping[int, Descriptor]:
    """The fields of a message that are messages themselves, by their numbers."""
    fields = kind.fields_by_number.items()
    return {number: field.message_type for number, field in fields if field.message_type is not None}


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number and where it ends. raises IndexError if it does not end"""
    byte = data[at]
    if byte < 0x80:
        return byte, at + 1
    value = shift = 0
    for place in range(at, at + _LONGEST_VARINT):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place + 1
        shift += 7
    raise IndexError
