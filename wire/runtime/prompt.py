"""Whoever calls sends his request with the call, or is shown out.

For a unary request gRPC waits without a time, and keeps what has come of it. Without a limit, some 250 calls on one
connection, each with most of a message of 1.5 MB, held 370 MB for ever. A token was not needed, as a handler refuses a
call once the request is there. So every request is read here, as if it were the first of a stream.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
from grpc import aio

from wire.security.methods import CARRIES_PICTURES

REQUEST_SECONDS: Final = 5.0
"""From a call to the end of its request."""

MOST_PENDING: Final = 64
"""Calls of a server that may be without their request at once, of those with pictures and of the others each, so that
neither keeps health checks waiting; streams of symbols have a number of their own."""


class Prompt(aio.ServerInterceptor):
    """Reads the requests of unary calls, each within a time, and not too many at once."""

    def __init__(self, seconds: float = REQUEST_SECONDS, most: int = MOST_PENDING) -> None:
        """seconds: that a request may take; most: calls that may be without theirs."""
        self._seconds, self._most = seconds, most
        self._pending = {True: 0, False: 0}  # by whether pictures are carried

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None or handler.request_streaming:
            return handler
        is_large = handler_call_details.method in CARRIES_PICTURES
        behaviour = handler.unary_stream if handler.response_streaming else handler.unary_unary

        async def prompt(_: Any, context: Any) -> Any:
            request = await self._read(context, is_large)
            if not inspect.isasyncgenfunction(behaviour):
                return await behaviour(request, context)
            async for response in behaviour(request, context):
                await context.write(response)
            return None

        kind = "stream_stream" if handler.response_streaming else "stream_unary"
        return handler._replace(request_streaming=True, unary_unary=None, unary_stream=None, **{kind: prompt})

    async def _read(self, context: Any, is_large: bool) -> Any:
        """The request of a call; ends the call where none comes."""
        if self._pending[is_large] >= self._most:
            line = f"{self._most} calls wait for their requests already; come back later"
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, line)
        self._pending[is_large] += 1
        try:
            async with asyncio.timeout(self._seconds):
                request = await context.read()
        except TimeoutError:
            line = f"the request did not come within {self._seconds:g} s; send it with the call"
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, line)
        finally:
            self._pending[is_large] -= 1
        if request is aio.EOF:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the call came without a request; send one")
        return request
