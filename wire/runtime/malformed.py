"""What a server does with bytes that are no message, or far more than a message needs: INVALID_ARGUMENT and one line.

Without this, gRPC answers UNKNOWN and writes a traceback to the log for every such message. And a request lives as long
as its call, which may be months: a watch of the health service, open to who has no token, would keep a megabyte.
"""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError
from grpc import aio

from wire.runtime.fields import has_too_many
from wire.security.methods import CARRIES_PICTURES

LONGEST_REQUEST: Final = 4_096
"""Bytes of a request that brings neither symbols nor a picture."""

_MALFORMED: Final = object()
_TOO_LONG: Final = object()
"""Stand for a unary request that is refused."""


class RefuseMalformed(aio.ServerInterceptor):
    """Parses requests so that a malformed one is refused in words.

    A unary request ends the call here. A message inside a stream reaches the servicer as one with nothing set, and is
    refused there as a message of the wrong kind.
    """

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None or handler.request_deserializer is None:
            return handler
        parse, method = handler.request_deserializer, handler_call_details.method
        kind_of_request = getattr(getattr(parse, "__self__", None), "DESCRIPTOR", None)
        is_bounded = method not in CARRIES_PICTURES  # those are bounded by the server's own limit

        def parse_or_mark(data: bytes) -> Any:
            if is_bounded and len(data) > LONGEST_REQUEST:
                return parse(b"") if handler.request_streaming else _TOO_LONG
            if kind_of_request is not None and len(data) > LONGEST_REQUEST and has_too_many(data, kind_of_request):
                return parse(b"") if handler.request_streaming else _MALFORMED
            try:
                return parse(data)
            except (DecodeError, ValueError):  # ValueError: text that is not UTF-8, in some protobuf versions
                return parse(b"") if handler.request_streaming else _MALFORMED

        changes: dict[str, Any] = {"request_deserializer": parse_or_mark}
        if not handler.request_streaming:
            kind = "unary_stream" if handler.response_streaming else "unary_unary"
            behaviour = getattr(handler, kind)
            check = _checked_generator if inspect.isasyncgenfunction(behaviour) else _checked
            changes[kind] = check(behaviour, method)
        return handler._replace(**changes)


def _checked(behaviour: Callable[..., Any], method: str) -> Callable[..., Any]:
    async def checked(request: Any, context: Any) -> Any:
        await _refuse(request, context, method)
        return await behaviour(request, context)

    return checked


def _checked_generator(behaviour: Callable[..., Any], method: str) -> Callable[..., Any]:
    async def checked(request: Any, context: Any) -> Any:
        await _refuse(request, context, method)
        async for response in behaviour(request, context):
            yield response

    return checked


async def _refuse(request: Any, context: Any, method: str) -> None:
    """End the call if its request is none."""
    if request is _MALFORMED:
        line = f"the request is not a message of {method}; send one that vergence.v1 describes"
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, line)
    if request is _TOO_LONG:
        line = f"the request is longer than {LONGEST_REQUEST} bytes; {method} needs a few"
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, line)
