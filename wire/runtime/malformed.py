"""What a server does with bytes that are no message: INVALID_ARGUMENT and one line.

Without this, gRPC answers UNKNOWN and writes a traceback to the log for every such message.
"""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final, Self

import grpc
from google.protobuf.message import DecodeError
from grpc import aio


class Malformed:
    """Stands for a request that could not be parsed; to a servicer of streams it is a message with nothing set."""

    def WhichOneof(self, _: str) -> None:  # noqa: N802 as protobuf names it
        return None

    def HasField(self, _: str) -> bool:  # noqa: N802
        return False

    def __getattr__(self, _: str) -> Self:
        return self


MALFORMED: Final = Malformed()


class RefuseMalformed(aio.ServerInterceptor):
    """Parses requests so that a malformed one is refused in words.

    A unary request ends the call here. A message inside a stream reaches the servicer as `MALFORMED`, which has no
    field set, and is refused there as a message of the wrong kind.
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

        def parse_or_mark(data: bytes) -> Any:
            try:
                return parse(data)
            except (DecodeError, ValueError):  # ValueError: text that is not UTF-8, in some protobuf versions
                return MALFORMED

        changes: dict[str, Any] = {"request_deserializer": parse_or_mark}
        if not handler.request_streaming:
            kind = "unary_stream" if handler.response_streaming else "unary_unary"
            behaviour = getattr(handler, kind)
            check = _checked_generator if inspect.isasyncgenfunction(behaviour) else _checked
            changes[kind] = check(behaviour, method)
        return handler._replace(**changes)


def _checked(behaviour: Callable[..., Any], method: str) -> Callable[..., Any]:
    async def checked(request: Any, context: Any) -> Any:
        if request is MALFORMED:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, _line(method))
        return await behaviour(request, context)

    return checked


def _checked_generator(behaviour: Callable[..., Any], method: str) -> Callable[..., Any]:
    async def checked(request: Any, context: Any) -> Any:
        if request is MALFORMED:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, _line(method))
        async for response in behaviour(request, context):
            yield response

    return checked


def _line(method: str) -> str:
    return f"the request is not a message of {method}; send one that vergence.v1 describes"
