"""How a stream of symbols begins: who may open one, the Hello in time, and the ways to be refused.

Both receivers of a stream, the channel emulator and the center, judge by this, and refuse with the same status codes.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Final, Literal

import grpc

from wire.runtime.errors import UserError
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.views import RIG_NAME

HELLO_SECONDS: Final = 10.0
"""How long a stream may stay open without its Hello."""

Kind = Literal["contract", "name", "codec", "taken", "full", "warming", "draining"]
STATUS: Final[dict[Kind, grpc.StatusCode]] = {
    "contract": grpc.StatusCode.INVALID_ARGUMENT,
    "name": grpc.StatusCode.INVALID_ARGUMENT,
    "codec": grpc.StatusCode.FAILED_PRECONDITION,
    "taken": grpc.StatusCode.FAILED_PRECONDITION,
    "full": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "warming": grpc.StatusCode.UNAVAILABLE,
    "draining": grpc.StatusCode.UNAVAILABLE,
}
_NAME: Final = re.compile(RIG_NAME)
_SHOWN: Final = 64


class StreamRefused(UserError):
    """A stream that is not taken. kind: why, in a word that is fit for a counter."""

    def __init__(self, kind: Kind, line: str) -> None:
        super().__init__(line)
        self.kind = kind

    @property
    def code(self) -> grpc.StatusCode:
        """The status that the stream ends with."""
        return STATUS[self.kind]


def check_rig_name(rig: str) -> None:
    """Refuse what is no name before it becomes a link, a label, a line of a log or JSON.

    raises  StreamRefused
    """
    if not _NAME.fullmatch(rig):
        shown = rig[:_SHOWN].encode("unicode_escape").decode()
        line = f"rig '{shown}' is not a name; use up to 63 letters, digits, '_', '.' and '-', no sign first"
        raise StreamRefused("name", line)


async def first_hello(
    read: Callable[[], Awaitable[link_pb2.TransmitRequest | None]], seconds: float
) -> link_pb2.Hello | None:
    """The Hello of a stream.

    read     gives the next message, None at the end of the stream
    seconds  how long it may take, usually HELLO_SECONDS
    returns  None if the sender ended the stream before it said anything
    raises   StreamRefused if it says nothing in time, or something else first
    """
    try:
        async with asyncio.timeout(seconds):
            request = await read()
    except TimeoutError:
        raise StreamRefused("contract", f"no Hello within {seconds:g} s; send one first") from None
    if request is None:
        return None
    if request.WhichOneof("message") != "hello":
        raise StreamRefused("contract", "the first message must be a Hello; send one")
    return request.hello
