"""What a container's health check says of a service."""

import asyncio
from pathlib import Path

import prometheus_client
import pytest

from tests import locked
from wire.runtime import grpc_kit, health


async def test_a_server_is_well_once_it_is_ready(capsys: pytest.CaptureFixture[str]) -> None:
    server = grpc_kit.Server("127.0.0.1:0")
    address = f"127.0.0.1:{await server.start([])}"
    assert await asyncio.to_thread(health.main, [address]) == 1
    await server.ready()
    assert await asyncio.to_thread(health.main, [address]) == 0
    await server.stop(0)
    assert await asyncio.to_thread(health.main, [address]) == 1
    assert capsys.readouterr().out.splitlines()[:2] == ["NOT_SERVING", "SERVING"]


async def test_who_gets_no_answer_is_told_why_in_one_line(certs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server = grpc_kit.Server("127.0.0.1:0", locked.keys(certs / "center"))
    address = f"127.0.0.1:{await server.start([])}"
    assert await asyncio.to_thread(health.main, [address]) == 1
    await server.stop(0)
    assert await asyncio.to_thread(health.main, [address]) == 1
    locked_out, away = capsys.readouterr().out.splitlines()
    assert locked_out.startswith("no answer: it hung up at once; it wants a certificate that it knows")
    assert away.startswith("no answer: UNAVAILABLE failed to connect")


def test_a_gauge_must_be_there_and_be_one() -> None:
    registry = prometheus_client.CollectorRegistry()
    up = prometheus_client.Gauge("camera_up", "", ("view",), registry=registry).labels("left")
    server, thread = prometheus_client.start_http_server(0, "127.0.0.1", registry)
    page = f"http://127.0.0.1:{server.server_port}/metrics"
    assert health.main([page, "camera_up"]) == 1
    up.set(1)
    assert health.main([page, "camera_up"]) == 0
    assert health.main([page, "camera"]) == 1
    server.shutdown()
    thread.join()
    server.server_close()
    assert health.main([page, "camera_up"]) == 1


def test_anything_else_shows_how_to_use_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert health.main([]) == 1
    assert "python -m wire.runtime.health" in capsys.readouterr().out
