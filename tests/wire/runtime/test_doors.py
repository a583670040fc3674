"""What every server refuses before a servicer sees it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2

from deploy.bench.loopback import Center
from wire.geometry import DEFAULT_SIZE, LARGEST_SIZE, PictureSize
from wire.runtime import grpc_kit

TRANSMIT = "/vergence.v1.SymbolLinkService/Transmit"
CHECK = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"
NO_MESSAGE = b"\x0a\xff\xff\xff\xff"


def raw(call: Any) -> Any:
    """A call that takes and gives bytes, for which grpc's types have no word."""
    return call


@pytest.fixture
async def channel() -> AsyncIterator[aio.Channel]:
    center = Center()
    async with grpc_kit.connect(await center.start()) as made:
        yield made
    await center.stop()


async def test_bytes_that_are_no_message_are_an_invalid_argument(channel: aio.Channel) -> None:
    with pytest.raises(aio.AioRpcError) as refused:
        await raw(channel.unary_unary(CHECK))(NO_MESSAGE)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "not a message of /grpc.health.v1.Health/Check" in (refused.value.details() or "")
    with pytest.raises(aio.AioRpcError) as refused:
        await raw(channel.unary_stream(WATCH))(NO_MESSAGE).read()
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_requests_that_are_messages_pass(channel: aio.Channel) -> None:
    request = health_pb2.HealthCheckRequest().SerializeToString()
    answer = await raw(channel.unary_unary(CHECK))(request)
    assert health_pb2.HealthCheckResponse.FromString(answer).status == health_pb2.HealthCheckResponse.SERVING
    call: Any = raw(channel.unary_stream(WATCH))(request)
    assert health_pb2.HealthCheckResponse.FromString(await call.read()).status
    call.cancel()


@pytest.mark.parametrize("largest", [DEFAULT_SIZE, PictureSize(256, 512), LARGEST_SIZE], ids=str)
async def test_a_request_beyond_the_limit_is_refused_unread(largest: PictureSize) -> None:
    limit = grpc_kit.max_request(largest)
    assert 16 * largest.symbols < limit, "symbols and one gain each, f32"
    assert 3 * largest.pixels < limit, "a reference"
    server = grpc_kit.Server("127.0.0.1:0", largest=largest)
    port = await server.start([])
    try:
        async with grpc_kit.connect(f"127.0.0.1:{port}") as channel:
            for size, status in ((limit - 64, "INVALID_ARGUMENT"), (limit + 1, "RESOURCE_EXHAUSTED")):
                with pytest.raises(aio.AioRpcError) as refused:
                    await raw(channel.unary_unary(CHECK))(NO_MESSAGE.ljust(size, b"\x00"))
                assert refused.value.code().name == status
    finally:
        await server.stop(0)


def test_a_server_of_usual_pictures_takes_no_more_than_before() -> None:
    assert grpc_kit.max_request(DEFAULT_SIZE) == grpc_kit.MAX_REQUEST == 256 * 1024


async def test_a_socket_that_says_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    options = dict(grpc_kit.SERVER_OPTIONS)
    assert options["grpc.server_handshake_timeout_ms"] <= 5_000
    quick = list({**options, "grpc.server_handshake_timeout_ms": 200}.items())
    monkeypatch.setattr(grpc_kit, "SERVER_OPTIONS", quick)
    server = grpc_kit.Server("127.0.0.1:0")
    port = await server.start([])
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as silent:
            silent.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            async with asyncio.timeout(5):
                while await asyncio.to_thread(silent.recv, 4096):
                    pass  # the server's own settings; then the end
    finally:
        await server.stop(0)


async def test_connections_beyond_the_limit_leave_those_before_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_kit, "MAX_CONNECTIONS", 3)
    server = grpc_kit.Server("127.0.0.1:0")
    port = await server.start([])
    request = health_pb2.HealthCheckRequest().SerializeToString()
    try:
        async with grpc_kit.connect(f"127.0.0.1:{port}") as channel:
            await raw(channel.unary_unary(CHECK))(request)
            flood = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(20)]
            ended = await asyncio.gather(*(asyncio.to_thread(_is_ended, each) for each in flood[-5:]))
            assert all(ended), "connections beyond the limit are closed at once"
            await raw(channel.unary_unary(CHECK))(request)
            for each in flood:
                each.close()
    finally:
        await server.stop(0)


def _is_ended(connection: socket.socket) -> bool:
    try:
        while connection.recv(4096):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True
