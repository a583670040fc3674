"""Streams last for months: whoever was let in by a token that counts no more is shown out while the stream lives."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, Final

import grpc
from grpc import aio

from wire.security.tokens import TokenRefused

RECHECK_SECONDS: Final = 5.0
"""How often it is looked whether the token of a stream still counts."""


class _Stay:
    """One stream's right to go on, looked at again and again until it ends."""

    def __init__(self, check: Callable[[], object]) -> None:
        """Of the task that serves the stream. check: raises TokenRefused once the right is gone"""
        self._check, self._task, self._loop = check, asyncio.current_task(), asyncio.get_running_loop()
        self._timer = self._loop.call_later(RECHECK_SECONDS, self._look)
        self.refusal: TokenRefused | None = None

    def end(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        try:
            self._check()
        except TokenRefused as refusal:
            self.refusal = refusal
            if self._task is not None:
                self._task.cancel()
        else:
            self._timer = self._loop.call_later(RECHECK_SECONDS, self._look)


def while_it_counts(
    behaviour: Callable[..., Any], check: Callable[[], object], status: Callable[[TokenRefused], grpc.StatusCode]
) -> Callable[..., Any]:
    """A handler of a stream that ends, with the refusal's status and line, once `check` raises TokenRefused."""

    async def handle(request: Any, context: aio.ServicerContext[Any, Any]) -> None:
        stay = _Stay(check)
        try:
            if inspect.isasyncgenfunction(behaviour):
                # Written here and not yielded, so that a write to a slow reader can be cut off too.
                async for response in behaviour(request, context):
                    await context.write(response)
            else:
                await behaviour(request, context)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if stay.refusal is None or task is None:
                raise
            task.uncancel()
            await context.abort(status(stay.refusal), str(stay.refusal))
        finally:
            stay.end()

    return handle
