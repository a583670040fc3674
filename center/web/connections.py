"""Bounds of the page's connections: how many, how many of one client, and how long a request may take.

Left alone, uvicorn waits for ever for the headers of a request, and takes whatever connects: a few hundred silent
sockets would use up the process's files, and cameras could not connect any more. Connections of browsers (`/ws`) count
too; once they are open, they have their own bounds: pings, and `stream.UNANSWERED_SECONDS`.
"""

import asyncio
import logging
import math
import resource
import socket
import time
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from center.web.guard import HEADERS
from wire.runtime import addresses

log = logging.getLogger(__name__)

BACKLOG: Final = 16
"""Connections that are taken in one go, before those beyond the limits are closed again; each is a file meanwhile."""
SOCKET_BYTES: Final = 32 * 2**10
"""That a browser may send over a WebSocket in one go, its headers included."""
SOCKET_RATE: Final = 4_096.0
"""Bytes a second from then on; an answer to a pair has some ten."""
_SHARE_OF_FILES: Final = 4
_TOLD_EVERY: Final = 60.0


def _raw(status: str, line: str, **headers: str) -> bytes:
    """An answer without an application, which closes the connection."""
    every = {"Content-Type": "text/plain", "Cache-Control": "no-store", **HEADERS, **headers, "Connection": "close"}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in every.items())
    return f"HTTP/1.1 {status}\r\n{head}Content-Length: {len(line)}\r\n\r\n{line}".encode()


_BUSY: Final = _raw("503 Service Unavailable", "too many connections; later", Retry_After="5")
_JUNK: Final = _raw("400 Bad Request", "this is no HTTP/1.1 request")


@dataclass(frozen=True, slots=True)
class Limits:
    """most: connections at once; most_per_client: those of one IP address; times in seconds.

    header_seconds   from the connection, or the first byte of a further request, to the end of its headers
    request_seconds  from the headers to the end of the answer; also what a client may leave unread
    """

    most: int = 256
    most_per_client: int = 64
    header_seconds: float = 10.0
    request_seconds: float = 30.0

    def within_files(self) -> "Limits":
        """The same with at most a quarter of the files that this process may open: the rest is for cameras."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return self if soft == resource.RLIM_INFINITY else replace(self, most=min(self.most, soft // _SHARE_OF_FILES))


def listen(host: str, port: int, limits: Limits) -> list[socket.socket]:
    """Listening sockets whose connections the kernel ends where the other side reads nothing any more.

    port    0 takes a free one
    raises  UserError if the port is taken or the host makes no sense
    """
    bound = addresses.bind(host, port, "the page", BACKLOG)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; connections inherit it
        for listening in bound:
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(limits.request_seconds * 1e3))
    return bound


def protocol(limits: Limits) -> "type[BoundedHttp]":
    """What uvicorn is to serve each connection with."""
    return type("Http", (BoundedHttp,), {"limits": limits})


class BoundedSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, cut off where a browser sends more than it has to say: a few bytes for each pair.

    Its messages are parsed in the event loop, ten thousand of no bytes in each 64 kB, and after a close for ten seconds
    more. One socket that sent them as fast as it could made every camera's frames wait for a third of a second.
    """

    _left = float(SOCKET_BYTES)
    _at = -math.inf

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        self._left = min(float(SOCKET_BYTES), self._left + (now - self._at) * SOCKET_RATE) - len(data)
        self._at = now
        if self._left < 0.0:
            self.transport.abort()
            return
        super().data_received(data)
        if not self.handshake_initiated:  # its request has come as a whole, and is none: nothing more would ever happen
            self.transport.write(_JUNK)
            self.transport.close()

    async def send(self, message: Any) -> None:
        """One refused is answered too; uvicorn would log an error for each, which a stranger may cause."""
        await super().send(message)
        self.handshake_complete |= self.close_sent


class BoundedHttp(H11Protocol):
    """uvicorn's HTTP/1.1 with `limits`. A connection beyond them is answered 503 and closed, a slow one is cut."""

    limits: ClassVar[Limits] = Limits()
    _told_at: ClassVar[float] = -_TOLD_EVERY
    _deadline: asyncio.TimerHandle | None = None
    _is_working = False
    _is_upgraded = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        address = self.client and self.client[0]
        clients = [getattr(each, "client", None) for each in self.connections]
        of_client = [client[0] for client in clients if client].count(address)
        if len(self.connections) > self.limits.most or of_client > self.limits.most_per_client:
            self.tell(len(self.connections) - 1, of_client - 1, str(address))
            self.connections.discard(self)
            transport.write(_BUSY)
            transport.close()
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        if not self.transport.is_closing():
            self._unwatch()  # uvicorn's own timer waits for the next request
        super().on_response_complete()
        if self._has_request():
            self._watch()  # it had come already

    def send_400_response(self, msg: str) -> None:
        self.transport.write(_JUNK)
        self.transport.close()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._unwatch()
        self._is_upgraded = True
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def _has_request(self) -> bool:
        """Whether the headers of a request have come and its answer is not done."""
        return self.cycle is not None and not self.cycle.response_complete

    def _watch(self) -> None:
        """Let the time run that this part of a request may take; more bytes of the same part win no more time."""
        is_working = self._has_request()
        if self._is_upgraded or self.transport.is_closing():
            return
        if self._deadline is not None and is_working == self._is_working:
            return
        self._unwatch()
        self._is_working = is_working
        seconds = self.limits.request_seconds if is_working else self.limits.header_seconds
        self._deadline = self.loop.call_later(seconds, self.transport.abort)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    @classmethod
    def tell(cls, here: int, of_client: int, address: str) -> None:
        """One line in a while, however many come, with the key of the limit that one more would be beyond."""
        now = time.monotonic()
        if now - cls._told_at >= _TOLD_EVERY:
            cls._told_at = now
            key = "max_connections" if here >= cls.limits.most else "max_connections_per_client"
            line = "the page refuses connections: %d are open, %d of them of %s; raise page.%s if they are welcome"
            log.warning(line, here, of_client, address, key)
