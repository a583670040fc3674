"""How a stream begins and how it ends, for everybody who serves SymbolLinkService."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import grpc

from wire.contract.names import check_rig
from wire.contract.sizes import size_of
from wire.geometry import PictureSize
from wire.runtime.errors import UserError
from wire.security.caller import Share, check_sender
from wire.security.tokens import TokenRefused
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.views import View

HELLO_SECONDS: Final = 10.0
"""A stream that has not said Hello by then is ended."""

MOST_PENDING: Final = 256
"""Streams of a service that may be without a Hello at once."""

MOST_PENDING_OF_ONE: Final = 8
"""Of one token: each may keep most of a message waiting, which a camera that was stolen could do 256 times."""

LONGEST_HELLO: Final = 4_096
"""Bytes; it lives as long as its stream, and whatever nobody knows in it too."""

FRAME_RATES: Final = (0.1, 240.0)
"""Frames a second that a Hello may name; half a period is the tolerance of pairs, two periods are a silence."""


class Refusal(StrEnum):
    """Why a stream is not taken: a label of metrics, and by `STATUS` the code that the sender sees."""

    CONTRACT = "contract"
    NAME = "name"
    TOKEN = "token"  # nosec B105 # a word, not a token
    CODEC = "codec"
    SIZE = "size"
    TAKEN = "taken"
    FULL = "full"
    WARMING = "warming"
    DRAINING = "draining"


STATUS: Final = {
    Refusal.CONTRACT: grpc.StatusCode.INVALID_ARGUMENT,
    Refusal.NAME: grpc.StatusCode.INVALID_ARGUMENT,
    Refusal.TOKEN: grpc.StatusCode.PERMISSION_DENIED,
    Refusal.CODEC: grpc.StatusCode.FAILED_PRECONDITION,
    Refusal.SIZE: grpc.StatusCode.FAILED_PRECONDITION,
    Refusal.TAKEN: grpc.StatusCode.FAILED_PRECONDITION,
    Refusal.FULL: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Refusal.WARMING: grpc.StatusCode.UNAVAILABLE,
    Refusal.DRAINING: grpc.StatusCode.UNAVAILABLE,
}


class StreamRefused(UserError):
    """A stream that is not taken."""

    def __init__(self, reason: Refusal, line: str) -> None:
        super().__init__(line)
        self.reason = reason

    @property
    def code(self) -> grpc.StatusCode:
        return STATUS[self.reason]


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """How a stream that was taken ends: the status and, unless that is OK, one line for the sender."""

    code: grpc.StatusCode = grpc.StatusCode.OK
    line: str = ""


class HelloReader:
    """Waits for the Hellos of a service's streams: each within a time, and not for too many at once."""

    def __init__(self, seconds: float = HELLO_SECONDS, most: int = MOST_PENDING) -> None:
        """seconds: that a stream has for its Hello; most: streams that may be without one at once."""
        self.seconds, self.most = seconds, most
        self._pending = 0
        self._share = Share(MOST_PENDING_OF_ONE, "{most} streams of '{name}' have not said Hello yet; come back later")

    async def read(self, receive: Callable[[], Awaitable[link_pb2.TransmitRequest | None]]) -> link_pb2.Hello:
        """Wait for the Hello of one stream and check what it says of the sender.

        receive  gets the first message; None if the stream ends without one
        returns  a Hello that holds what the contract says of rig, view, size and rate, of a caller who may send as that
        raises   StreamRefused (contract, name, token or full)
        """
        if self._pending >= self.most:
            raise StreamRefused(Refusal.FULL, f"{self.most} streams have not said Hello yet; come back later")
        try:
            give_back = self._share.take()
        except UserError as problem:
            raise StreamRefused(Refusal.FULL, str(problem)) from None
        self._pending += 1
        try:
            async with asyncio.timeout(self.seconds):
                request = await receive()
        except TimeoutError:
            raise StreamRefused(Refusal.CONTRACT, f"no Hello within {self.seconds:g} s; send one first") from None
        finally:
            self._pending -= 1
            give_back()
        if request is None:
            raise StreamRefused(Refusal.CONTRACT, "the stream ended without a Hello; send one first")
        if request.WhichOneof("message") != "hello":
            raise StreamRefused(Refusal.CONTRACT, "the first message must be a Hello; send one")
        if (size := request.ByteSize()) > LONGEST_HELLO:
            raise StreamRefused(Refusal.CONTRACT, f"the Hello has {size} bytes; send at most {LONGEST_HELLO}")
        check(request.hello)
        check_owner(request.hello)
        return request.hello


def check_owner(hello: link_pb2.Hello) -> None:
    """raises StreamRefused if the caller's token is not of the camera that the Hello names"""
    try:
        check_sender(hello.rig, View.from_proto(hello.view))
    except TokenRefused as refusal:
        raise StreamRefused(Refusal.TOKEN, str(refusal)) from None


def check_name(rig: str) -> None:
    """raises StreamRefused if this is no name of a rig"""
    try:
        check_rig(rig)
    except UserError as problem:
        raise StreamRefused(Refusal.NAME, str(problem)) from None


def check(hello: link_pb2.Hello) -> None:
    """raises StreamRefused if a Hello breaks the contract: name of the rig, view, size of pictures, frame rate"""
    check_name(hello.rig)
    try:
        View.from_proto(hello.view)
        size_of(hello)
    except (UserError, ValueError) as problem:
        raise StreamRefused(Refusal.CONTRACT, str(problem)) from None
    low, high = FRAME_RATES
    if hello.frame_rate and not low <= hello.frame_rate <= high:
        line = f"frame_rate is {hello.frame_rate:g}; send {low:g} to {high:g}, or 0 for unknown"
        raise StreamRefused(Refusal.CONTRACT, line)


def check_size(hello: link_pb2.Hello, limit: PictureSize, key: str) -> PictureSize:
    """The size of a stream's pictures, held to what a service takes.

    hello   checked by `check`
    limit   of the service
    key     of its configuration that sets the limit
    raises  StreamRefused (size) if they are larger
    """
    size = size_of(hello)
    if not size.fits_in(limit):
        line = f"pictures of {size} are sent, {limit} is the most here; set size of the edge, or raise {key}"
        raise StreamRefused(Refusal.SIZE, line)
    return size
