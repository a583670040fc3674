"""The port that Prometheus scrapes: for one of them or a few, so that it never uses up what cameras need.

The server of the library takes every connection, each in a thread of its own, for ever and without a time.
"""

import contextlib
import logging
import math
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterable
from http.client import HTTPException, LineTooLong
from typing import Any, Final, Protocol
from wsgiref.simple_server import WSGIRequestHandler

from prometheus_client import CollectorRegistry, make_wsgi_app

from wire.runtime import addresses
from wire.runtime.log_throttle import Throttle
from wire.security.https import HttpsCertificate
from wire.security.tokens import Denial, Principal, Role, TokenRefused, bearer

MOST_SCRAPES: Final = 16
"""Connections to the metrics port at once; further ones are closed."""
SCRAPE_SECONDS: Final = 10.0
"""From a connection to the end of its answer: what takes longer is cut off, however busily it sends."""
HEADERS_LIMIT: Final = 16 * 2**10
"""Bytes of a request."""

_log = logging.getLogger(__name__)
_BACKLOG: Final = 16
_LOOK_SECONDS: Final = 0.25
STATUS: Final = dict.fromkeys(Denial, "401 Unauthorized") | {Denial.ROLE: "403 Forbidden"}

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]


class Book(Protocol):
    """`TokenBook`, or one that follows its file."""

    def authenticate(self, token: str, now: float) -> Principal:
        """raises TokenRefused"""


class MetricsPort:
    """Serves a registry at every address of a name, until `close()`.

    host, port   port 0 takes a free one
    certificate  for HTTPS; None is plain HTTP
    book         whoever asks must have a token of role metrics in it; None lets everybody read
    refused      counts who is not let in
    most         connections at once; half of them of one address
    seconds      that one may take in all
    raises       UserError if the port is taken
    """

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        *,
        certificate: HttpsCertificate | None = None,
        book: Book | None = None,
        refused: Callable[[Denial], None] = lambda _: None,
        most: int = MOST_SCRAPES,
        seconds: float = SCRAPE_SECONDS,
    ) -> None:
        application = make_wsgi_app(registry)
        self._application = application if book is None else _asking(application, book, refused)
        self._certificate, self._most, self._seconds = certificate, most, seconds
        self._listening = addresses.bind(host, port, "metrics", _BACKLOG)
        self.port: int = self._listening[0].getsockname()[1]
        self.base_environ = {"SERVER_NAME": host, "SERVER_PORT": str(self.port), "SCRIPT_NAME": ""}
        self._open: dict[_Connection, float] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._take, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no more, and cut off who is here."""
        self._closing.set()
        self._thread.join()

    def expires_at(self) -> float:
        """Unix time at which its certificate ends; +inf is plain HTTP."""
        return self._certificate.expires_at() if self._certificate is not None else math.inf

    def get_app(self) -> Application:
        """What answers a request; asked for by the standard library's handler."""
        return self._application

    def _take(self) -> None:
        """Take connections, and end those that take too long."""
        with selectors.DefaultSelector() as ready:
            for each in self._listening:
                each.setblocking(False)
                ready.register(each, selectors.EVENT_READ)
            while not self._closing.is_set():
                for key, _ in ready.select(_LOOK_SECONDS):
                    try:
                        taken, client = key.fileobj.accept()  # type: ignore[union-attr]
                    except OSError:  # gone again, or no file is left: whoever waits is taken later
                        self._closing.wait(_LOOK_SECONDS / 10)
                    else:
                        self._begin(taken, client)
                now = time.monotonic()
                for connection, until in list(self._open.items()):
                    if now >= until:
                        connection.cut()
        for listening in self._listening:
            listening.close()
        for connection in list(self._open):
            connection.cut()

    def _begin(self, taken: socket.socket, client: Any) -> None:
        host = str(client[0])
        of_host = sum(each.host == host for each in list(self._open))
        if len(self._open) >= self._most or of_host >= max(1, self._most // 2):
            taken.close()  # one address takes half at most: it cannot keep Prometheus of another one out
            return
        taken.settimeout(self._seconds)
        connection = _Connection(taken, host)
        self._open[connection] = time.monotonic() + self._seconds
        worker = threading.Thread(target=self._serve, args=(connection, client), name="scrape", daemon=True)
        try:
            worker.start()
        except RuntimeError:  # no thread can be had
            self._open.pop(connection)
            connection.close()

    def _serve(self, connection: "_Connection", client: Any) -> None:
        try:
            # A client that is gone, slow or talks junk is no news.
            with contextlib.suppress(OSError, ValueError, HTTPException):
                if self._certificate is not None:
                    connection.encrypt(self._certificate)
                _Handler(connection.socket, client, self)  # type: ignore[arg-type]  # all that it asks of a server
        finally:
            self._open.pop(connection, None)
            connection.close()


class _Connection:
    """One client; another thread may cut it off at any moment."""

    def __init__(self, plain: socket.socket, host: str) -> None:
        """host: the address that it comes from"""
        self.socket, self.host = plain, host

    def encrypt(self, certificate: HttpsCertificate) -> None:
        """raises OSError if the handshake fails"""
        encrypted = certificate.context().wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.socket = encrypted  # before the handshake, so that it can be cut off in it
        encrypted.do_handshake()

    def cut(self) -> None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)  # of the plain one: no words of farewell

    def close(self) -> None:
        self.cut()
        self.socket.close()


class _Bounded:
    """Reads lines of a request, up to HEADERS_LIMIT. raises LineTooLong beyond it"""

    def __init__(self, stream: Any) -> None:
        self._stream, self._left = stream, HEADERS_LIMIT

    def readline(self, most: int = -1) -> bytes:
        if self._left <= 0:
            raise LineTooLong("request")  # 431, where headers were expected
        line: bytes = self._stream.readline(self._left if most < 0 else min(most, self._left))
        self._left -= len(line)
        return line

    def close(self) -> None:
        self._stream.close()


class _Handler(WSGIRequestHandler):
    """One request; nothing of it is logged."""

    def setup(self) -> None:
        super().setup()
        self.rfile = _Bounded(self.rfile)  # type: ignore[assignment]

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


def _asking(application: Application, book: Book, refused: Callable[[Denial], None]) -> Application:
    """The same for who shows a token of role metrics."""
    throttle = Throttle(_log)

    def asked(environ: Environ, start: StartResponse) -> Iterable[bytes]:
        try:
            _admit(environ.get("HTTP_AUTHORIZATION", ""), book)
        except TokenRefused as refusal:
            refused(refusal.reason)
            throttle.warn(refusal.reason, f"a scrape is refused ({refusal.reason.value}): {refusal}")
            headers = [("Content-Type", "text/plain"), ("WWW-Authenticate", 'Bearer realm="vergence"')]
            start(STATUS[refusal.reason], headers)
            return [f"{refusal}\n".encode()]
        return application(environ, start)

    return asked


def _admit(header: str, book: Book) -> None:
    """raises TokenRefused"""
    principal = book.authenticate(bearer(header), time.time())
    if principal.role is not Role.METRICS:
        line = f"'{principal.name}' has the role {principal.role.value}; metrics are for metrics"
        raise TokenRefused(Denial.ROLE, line)
