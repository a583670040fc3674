"""What every service's metrics share: buckets, a registry, and the page that Prometheus scrapes."""

import logging
from collections.abc import Callable
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
)

from wire.runtime.scrapes import MetricsPort
from wire.security.https import HttpsCertificate
from wire.security.section import MetricsDoor
from wire.security.token_file import TokenFile
from wire.security.tokens import Denial

SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.033, 0.05, 0.066, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)
"""Buckets for times, 1 ms to 2.5 s; the usual ones start too late for a frame."""

DECIBELS: Final = tuple(float(db) for db in range(15, 46, 2))
"""Buckets for PSNR, 15 to 45 dB."""


EXPIRY: Final = "Unix time at which the first of its certificates ends; +Inf without TLS"
"""Of the gauge for that, in each service."""

_log = logging.getLogger(__name__)
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


def follow_expiry(gauge: Gauge, *ends: Callable[[], float]) -> None:
    """Have a gauge of EXPIRY say the first of some ends, Unix times, as they are whenever it is read."""
    gauge.set_function(lambda: min(end() for end in ends))


def expose(
    door: MetricsDoor, port: int, registry: CollectorRegistry, refused: Callable[[Denial], None] = lambda _: None
) -> MetricsPort:
    """Serve `/metrics` from a thread of its own, to a few clients at once. What is open to the network is told.

    port     0 takes a free one
    refused  counts who is not let in
    raises   UserError if the port is taken, or a file of the door is wrong
    """
    for line in door.open_to_others(port):
        _log.warning("%s", line)
    return MetricsPort(
        door.host,
        port,
        registry,
        certificate=HttpsCertificate(door, "metrics") if door.certificate else None,
        book=TokenFile(door.tokens) if door.tokens else None,
        refused=refused,
    )
