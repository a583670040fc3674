"""The page that Prometheus scrapes, among clients that say nothing."""

import socket
import threading
import time
from contextlib import ExitStack

import pytest
from prometheus_client import CollectorRegistry, Counter

from wire.runtime import metrics
from wire.runtime.direct import open_url


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    """Of metrics that are served, to silent clients for a quarter of a second."""
    monkeypatch.setattr(metrics._Handler, "timeout", 0.25)
    registry = CollectorRegistry()
    Counter("seen", "what is counted", registry=registry).inc(3)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free: int = taken.getsockname()[1]
    metrics.expose("127.0.0.1", free, registry)
    return free


def scrape(port: int) -> str:
    with open_url(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text: str = answer.read().decode()
        return text


def test_metrics_are_served(port: int) -> None:
    assert "seen_total 3.0" in scrape(port)


def test_silent_clients_take_few_threads_and_are_closed_so_that_prometheus_comes_in_again(port: int) -> None:
    before = threading.active_count()
    with ExitStack() as held:
        silent = [held.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(200)]
        assert threading.active_count() - before <= metrics.MOST_AT_ONCE
        for each in silent:
            each.settimeout(10)
            assert each.recv(1) == b"", "closed, at once or after its silence"
    until = time.monotonic() + 10
    while threading.active_count() > before:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert "seen_total 3.0" in scrape(port)
