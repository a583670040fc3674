"""What every service's metrics share: buckets, a registry, and the page that Prometheus scrapes."""

import socket
import threading
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, make_wsgi_app

from wire.runtime.errors import UserError, cause

SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.033, 0.05, 0.066, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)
"""Buckets for times, 1 ms to 2.5 s; the usual ones start too late for a frame."""

DECIBELS: Final = tuple(float(db) for db in range(15, 46, 2))
"""Buckets for PSNR, 15 to 45 dB."""


MOST_AT_ONCE: Final = 16
"""Connections that are served at once; further ones are closed. Each takes a thread, and Prometheus needs one."""

SILENCE_SECONDS: Final = 2.0
"""A connection that says nothing for this long is closed."""


def own_registry() -> CollectorRegistry:
    """A registry that holds the process's own metrics (CPU, memory, garbage collection) so far."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def expose(host: str, port: int, registry: CollectorRegistry) -> None:
    """Serve `/metrics` from a thread of its own.

    raises  UserError if the port is taken
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        of_this_family = type("_Server", (_Server,), {"address_family": family})
        server: WSGIServer = make_server(str(address[0]), port, make_wsgi_app(registry), of_this_family, _Handler)
    except OSError as error:
        raise UserError(
            f"cannot serve metrics on {host}:{port}: {cause(error)}; stop what uses the port or set another one"
        ) from None
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each connection, and only so many."""

    daemon_threads = True

    def __init__(self, *arguments: Any, **more: Any) -> None:
        self._free = threading.BoundedSemaphore(MOST_AT_ONCE)
        super().__init__(*arguments, **more)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who leaves early is no news; a traceback for each would fill the log."""


class _Handler(WSGIRequestHandler):
    """Waits for nobody for long, and logs no request."""

    timeout = SILENCE_SECONDS

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing."""
