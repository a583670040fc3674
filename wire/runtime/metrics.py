"""What every service's metrics share: buckets, a registry, and the page that Prometheus scrapes."""

from socketserver import ThreadingMixIn
from typing import Final
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)

from wire.runtime.errors import UserError, cause
from wire.runtime.scrapes import bound
from wire.security.tokens import Denial

SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.033, 0.05, 0.066, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)
"""Buckets for times, 1 ms to 2.5 s; the usual ones start too late for a frame."""

DECIBELS: Final = tuple(float(db) for db in range(15, 46, 2))
"""Buckets for PSNR, 15 to 45 dB."""


_REFUSED: Final = "Calls that were not let in: without a token, with one unknown or expired, of a wrong role or rig."


def own_registry() -> CollectorRegistry:
    """A registry that holds the process's own metrics (CPU, memory, garbage collection) so far."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def refused_calls(name: str, registry: CollectorRegistry) -> Counter:
    """The counter of a server's door, every reason at 0."""
    counter = Counter(
        name,
        _REFUSED,
        ("reason",),
        registry=registry,
    )
    for reason in Denial:
        counter.labels(reason)
    return counter


def expose(host: str, port: int, registry: CollectorRegistry) -> WSGIServer:
    """Serve `/metrics` from a thread of its own, to a few clients at once.

    raises  UserError if the port is taken
    """
    try:
        server, _ = start_http_server(port, host, registry)
    except OSError as error:
        raise UserError(
            f"cannot serve metrics on {host}:{port}: {cause(error)}; stop what uses the port or set another one"
        ) from None
    assert isinstance(server, ThreadingMixIn)
    bound(server)
    return server
