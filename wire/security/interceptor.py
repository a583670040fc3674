"""The door of a gRPC server: who calls, and whether the role may. The only place where that is decided."""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
from grpc import aio

from wire.runtime.log_throttle import Throttle
from wire.security.caller import CALLER, Caller
from wire.security.methods import OPEN, UNSERVED, roles_of
from wire.security.stay import while_it_counts
from wire.security.token_file import TokenFile
from wire.security.tokens import Denial, Principal, TokenRefused, bearer

STATUS: Final = {
    Denial.MISSING: grpc.StatusCode.UNAUTHENTICATED,
    Denial.UNKNOWN: grpc.StatusCode.UNAUTHENTICATED,
    Denial.EXPIRED: grpc.StatusCode.UNAUTHENTICATED,
    Denial.ROLE: grpc.StatusCode.PERMISSION_DENIED,
    Denial.RIG: grpc.StatusCode.PERMISSION_DENIED,
}

_log = logging.getLogger(__name__)


class Door(aio.ServerInterceptor):
    """Lets a call in, or ends it with a status and one line before anything of it is parsed."""

    def __init__(
        self,
        book: TokenFile | None,
        refused: Callable[[Denial], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """book: the tokens that count; None lets everybody in. refused: counts. clock: Unix time"""
        self._book, self._count, self._clock = book, refused, clock
        self._throttle = Throttle(_log)  # by reason: whoever knocks must not fill the log

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None or handler_call_details.method in UNSERVED:
            return None  # no such method
        principal, book = None, self._book
        if book is not None and handler_call_details.method not in OPEN:

            def check() -> Principal:
                try:
                    return self._admit(book, handler_call_details)
                except TokenRefused as refusal:
                    self._refused(refusal)
                    raise

            try:
                principal = check()
            except TokenRefused as refusal:
                return _refusing(handler, refusal)
            if handler.request_streaming or handler.response_streaming:
                kind = _kind(handler)
                handler = handler._replace(**{kind: while_it_counts(getattr(handler, kind), check, _status)})
        CALLER.set(Caller(principal, self._refused))  # gRPC runs the handler in this very task
        return handler

    def _admit(self, book: TokenFile, details: grpc.HandlerCallDetails) -> Principal:
        """raises TokenRefused"""
        principal = book.authenticate(_presented(details), self._clock())
        roles = roles_of(details.method)
        if principal.role not in roles:
            method = details.method.rpartition("/")[2]
            allowed = " or ".join(sorted(role.value for role in roles)) or "nobody"
            line = f"'{principal.name}' has the role {principal.role.value}; {method} is for {allowed}"
            raise TokenRefused(Denial.ROLE, line)
        return principal

    def _refused(self, refusal: TokenRefused) -> None:
        """Count it, and tell it unless one of its kind was told a moment ago."""
        self._count(refusal.reason)
        self._throttle.warn(refusal.reason, f"a call is refused ({refusal.reason.value}): {refusal}")


def _presented(details: grpc.HandlerCallDetails) -> str:
    """The token of a call; "" if there is none, or more than one."""
    given = [value for key, value in details.invocation_metadata or () if key == "authorization"]
    return bearer(given[0]) if len(given) == 1 and isinstance(given[0], str) else ""


def _refusing(handler: Any, refusal: TokenRefused) -> Any:
    """A handler that only says no, and at once: as one of a stream it does not wait for the request."""

    async def refuse(_requests: Any, context: aio.ServicerContext[Any, Any]) -> None:
        await context.abort(_status(refusal), str(refusal))

    handler = handler._replace(request_deserializer=None, request_streaming=True)
    return handler._replace(**{_kind(handler): refuse})


def _status(refusal: TokenRefused) -> grpc.StatusCode:
    return STATUS[refusal.reason]


def _kind(handler: Any) -> str:
    """The attribute of a handler that holds its behaviour."""
    sides = (handler.request_streaming, handler.response_streaming)
    return "_".join("stream" if streams else "unary" for streams in sides)
