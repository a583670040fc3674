"""Silent sockets on the metrics port are few, and go."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter

from wire.runtime import metrics, scrapes
from wire.runtime.direct import open_url


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr("wire.runtime.metrics.bound", lambda server: scrapes.bound(server, most=4, seconds=0.5))
    registry = CollectorRegistry()
    Counter("something_total", "That is counted.", registry=registry).inc()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free: int = probe.getsockname()[1]
    server = metrics.expose("127.0.0.1", free, registry)
    yield free
    server.shutdown()
    server.server_close()


def scraped(port: int) -> bool:
    try:
        return b"something_total 1.0" in open_url(f"http://127.0.0.1:{port}/metrics", timeout=10).read()
    except OSError:
        return False


def test_metrics_are_served_again_and_again(port: int) -> None:
    assert all(scraped(port) for _ in range(20))


def test_silent_sockets_take_no_more_than_their_share_and_are_closed(port: int) -> None:
    silent = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(40)]
    try:
        time.sleep(0.1)
        assert threading.active_count() < 20  # one thread each would be 40 more
        assert all(each.recv(1) == b"" for each in silent)
    finally:
        for each in silent:
            each.close()
    deadline = time.monotonic() + 20
    while not scraped(port):
        assert time.monotonic() < deadline


def test_a_client_that_reads_nothing_frees_its_place(port: int) -> None:
    for _ in range(8):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as half:
            half.sendall(b"GET /metrics HTTP/1.1\r\nHo")
    deadline = time.monotonic() + 20
    while not scraped(port):
        assert time.monotonic() < deadline
