"""The metrics port: at every address of its name, silent sockets are few and go, and locks hold."""

import logging
import math
import shutil
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509
from prometheus_client import CollectorRegistry, Counter, Gauge

from deploy.observe import doors
from wire.runtime import health, metrics, scrapes
from wire.runtime.direct import open_url
from wire.runtime.scrapes import MetricsPort
from wire.security.https import HttpsCertificate
from wire.security.section import MetricsDoor
from wire.security.tokens import Denial, Role


@pytest.fixture
def registry() -> CollectorRegistry:
    made = CollectorRegistry()
    Counter("something_total", "That is counted.", registry=made).inc()
    return made


@pytest.fixture
def port(registry: CollectorRegistry) -> Iterator[int]:
    with closing(MetricsPort("127.0.0.1", 0, registry, most=4, seconds=0.5)) as served:
        yield served.port


def scraped(port: int, host: str = "127.0.0.1") -> bool:
    try:
        return b"something_total 1.0" in open_url(f"http://{host}:{port}/metrics", timeout=10).read()
    except OSError:
        return False


def soon(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_metrics_are_served_again_and_again(port: int) -> None:
    assert all(scraped(port) for _ in range(20))


def test_silent_sockets_take_no_more_than_their_share_and_are_closed(port: int) -> None:
    silent = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(40)]
    try:
        assert sum(thread.name == "scrape" for thread in threading.enumerate()) <= 4
        assert all(each.recv(1) == b"" for each in silent)
    finally:
        for each in silent:
            each.close()
    soon(lambda: scraped(port))


def test_one_address_cannot_keep_another_one_out(port: int) -> None:
    silent = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(8)]
    try:
        soon(lambda: sum(thread.name == "scrape" for thread in threading.enumerate()) > 0)
        other = socket.create_connection(("127.0.0.1", port), timeout=20, source_address=("127.0.0.2", 0))
        with other:
            other.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            answer = b"".join(iter(lambda: other.recv(65536), b""))
        assert b"something_total 1.0" in answer
    finally:
        for each in silent:
            each.close()


def test_half_a_request_frees_its_place(port: int) -> None:
    for _ in range(8):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as half:
            half.sendall(b"GET /metrics HTTP/1.1\r\nHo")
    soon(lambda: scraped(port))


def test_a_request_that_comes_byte_by_byte_is_cut_off_all_the_same(port: int) -> None:
    """Each byte is in time, the request never ends."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as slow:

        def is_cut_off() -> bool:
            try:
                slow.sendall(b"G")
            except OSError:
                return True
            return False

        soon(is_cut_off)


def test_a_request_has_a_length(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as long:
        long.sendall(b"GET /metrics HTTP/1.1\r\n" + b"X: " + b"x" * scrapes.HEADERS_LIMIT + b"\r\n\r\n")
        assert long.recv(4096).startswith(b"HTTP/1.0 431 ")


def test_it_listens_at_every_address_of_its_name(registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    def both(*_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (place, 0)) for place in ("127.0.0.1", "127.0.0.2")]

    with monkeypatch.context() as patched:
        patched.setattr("wire.runtime.addresses.socket.getaddrinfo", both)
        served = MetricsPort("edge.example", 0, registry)
    with closing(served):
        assert scraped(served.port)
        assert scraped(served.port, "127.0.0.2")
    assert not scraped(served.port)
    assert not scraped(served.port, "127.0.0.2")
    socket.create_server(("127.0.0.1", served.port)).close()


def door(folder: Path) -> MetricsDoor:
    files = {"certificate": "certificate.pem", "key": "key.pem", "tokens": "tokens.yaml"}
    return MetricsDoor(**{key: str(folder / name) for key, name in files.items()})


def asked(port: int, certs: Path, *token: Path) -> str:
    """What a client of our authority gets: the metric's line, or the status and the line of the refusal."""
    request = urllib.request.Request(f"https://127.0.0.1:{port}/metrics")
    if token:
        request.add_header("Authorization", f"Bearer {token[0].read_text().strip()}")
    context = ssl.create_default_context(cafile=certs / "metrics" / "authority.pem")
    try:
        lines = open_url(request, 10, context).read().decode().splitlines()
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read().decode().strip()}"
    return next(line for line in lines if line.startswith("something_total"))


def test_only_a_token_of_role_metrics_reads_and_only_by_https(
    certs: Path, tmp_path: Path, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    refused: list[Denial] = []
    guess = tmp_path / "guess"
    guess.write_text("vgt_guess")
    with closing(metrics.expose(door(certs / "emulator"), 0, registry, refused.append)) as served:
        assert asked(served.port, certs, certs / "metrics" / "token") == "something_total 1.0"
        assert asked(served.port, certs).startswith("401 no token came")
        assert asked(served.port, certs, guess).startswith("401 this token is not known")
        told = asked(served.port, certs, certs / "viewer" / "token")
        assert told == "403 'viewer' has the role viewer; metrics are for metrics"
        for role, folder in {role: {Role.CAMERA: "demo-left"}.get(role, str(role)) for role in Role}.items():
            said = asked(served.port, certs, certs / folder / "token").partition(" ")[0]
            assert said == {doors.LETS_IN: "something_total"}.get(doors.scrape(role), doors.scrape(role)[:3])
        assert not scraped(served.port)
        page = f"https://127.0.0.1:{served.port}/metrics"
        files = [str(certs / "metrics" / name) for name in ("authority.pem", "token")]
        assert health.main(["--metrics", *files, page, "something_total"]) == 0
        assert health.main([page, "something_total"]) == 1
    assert refused[:3] == [Denial.MISSING, Denial.UNKNOWN, Denial.ROLE]
    assert "a scrape is refused (missing): no token came" in caplog.text
    assert "vgt_" not in caplog.text


def test_a_certificate_that_is_renewed_counts_without_a_restart(
    certs: Path, tmp_path: Path, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wire.security.followed.CHECK_SECONDS", 0.0)
    for name in ("certificate.pem", "key.pem", "tokens.yaml"):
        shutil.copy(certs / "emulator" / name, tmp_path / name)
    with closing(metrics.expose(door(tmp_path), 0, registry)) as served:
        gauge = Gauge("ends", "", registry=registry)
        metrics.follow_expiry(gauge, lambda: math.inf, served.expires_at)
        data = (tmp_path / "certificate.pem").read_bytes()
        assert registry.get_sample_value("ends") == x509.load_pem_x509_certificate(data).not_valid_after_utc.timestamp()
        first = ssl.get_server_certificate(("127.0.0.1", served.port))
        for name in ("certificate.pem", "key.pem"):
            shutil.copy(certs / "center" / name, tmp_path / name)
        soon(lambda: ssl.get_server_certificate(("127.0.0.1", served.port)) != first)


def test_a_handshake_that_does_not_come_is_cut_off(certs: Path, registry: CollectorRegistry) -> None:
    certificate = HttpsCertificate(door(certs / "emulator"), "metrics")
    with closing(MetricsPort("127.0.0.1", 0, registry, certificate=certificate, most=1, seconds=0.5)) as served:
        with socket.create_connection(("127.0.0.1", served.port), timeout=20) as silent:
            assert silent.recv(1) == b""

        def comes_in() -> bool:
            try:
                return asked(served.port, certs) == "something_total 1.0"
            except OSError:  # the place is not free yet, or this machine was too busy for a handshake in half a second
                return False

        soon(comes_in)


@pytest.mark.parametrize(
    ("host", "files", "told"),
    [
        ("127.0.0.1", {}, []),
        ("localhost", {}, []),
        (
            "0.0.0.0",
            {},
            [
                "metrics.host 0.0.0.0 shows figures in plain HTTP; set metrics.certificate and metrics.key",
                "metrics.host 0.0.0.0 shows figures to everybody; set metrics.tokens",
            ],
        ),
        ("0.0.0.0", {"certificate": "c", "key": "k", "tokens": "t"}, []),
    ],
)
def test_what_the_network_can_read_is_told(host: str, files: dict[str, str], told: list[str]) -> None:
    assert MetricsDoor(host=host, **files).open_to_others(9102) == told
    assert MetricsDoor(host=host, **files).open_to_others(0) == []


def test_it_is_told_at_the_start(registry: CollectorRegistry, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("0.0.0.0", 0)) as probe:
        free = probe.getsockname()[1]
    with caplog.at_level(logging.WARNING), closing(metrics.expose(MetricsDoor(host="0.0.0.0"), free, registry)):
        assert "shows figures to everybody; set metrics.tokens" in caplog.text
