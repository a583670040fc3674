"""What every server refuses before a servicer sees it."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from deploy.bench.faults import http2
from deploy.bench.loopback import Center
from wire.geometry import DEFAULT_SIZE, LARGEST_SIZE, PictureSize
from wire.runtime import grpc_kit
from wire.runtime.prompt import Prompt

TRANSMIT = "/vergence.v1.SymbolLinkService/Transmit"
CHECK = "/grpc.health.v1.Health/Check"
REFLECT = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
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


@pytest.mark.parametrize("path", [CHECK, WATCH])
async def test_a_request_that_lives_as_long_as_its_call_is_small(channel: aio.Channel, path: str) -> None:
    """Watches of the health service are open to everybody: 256 of 1.5 MB on one connection were 400 MB for ever."""
    stuffed = health_pb2.HealthCheckRequest(service="x" * 5_000).SerializeToString()
    with pytest.raises(aio.AioRpcError) as refused:
        await raw(channel.unary_stream(path))(stuffed).read()
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "the request is longer than 4096 bytes" in (refused.value.details() or "")


@pytest.mark.parametrize("size", [None, 200_000])
async def test_reflection_gives_nothing_large_back(channel: aio.Channel, size: int | None) -> None:
    """It answers with the question: unread answers would be kept. size: of a file's name; None is no message"""
    question = reflection_pb2.ServerReflectionRequest(file_by_filename="x" * (size or 0)).SerializeToString()
    call: Any = raw(channel.stream_stream(REFLECT))()
    await call.write(NO_MESSAGE if size is None else question)
    answer = reflection_pb2.ServerReflectionResponse.FromString(await asyncio.wait_for(call.read(), 5))
    assert answer.error_response.error_code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert answer.ByteSize() < 100
    call.cancel()


@pytest.fixture
async def impatient(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """The port of a server that waits half a second for a request, and for three at once."""
    monkeypatch.setattr(grpc_kit, "Prompt", lambda: Prompt(seconds=0.5, most=3))
    server = grpc_kit.Server("127.0.0.1:0")
    port = await server.start([])
    yield port
    await server.stop(0)


def half_call(port: int, path: str) -> socket.socket:
    """A call whose request does not come, but for its begin."""
    made = socket.create_connection(("127.0.0.1", port), timeout=20)
    made.sendall(
        http2.PREFACE
        + http2.frame(http2.SETTINGS)
        + http2.frame(http2.HEADERS, http2.END_HEADERS, 1, http2.call(path))
        + http2.frame(http2.DATA, 0, 1, struct.pack(">BI", 0, 200_000) + bytes(16_000))
    )
    return made


def ended(connection: socket.socket) -> bool:
    """Whether the server ends the stream in time: the frame that does it has HEADERS with END_STREAM, or RST_STREAM."""
    data = b""
    while more := connection.recv(65_536):
        data += more
        at = 0
        while at + 9 <= len(data):
            kind, flags, stream = data[at + 3], data[at + 4], int.from_bytes(data[at + 5 : at + 9])
            if stream == 1 and (kind == http2.RST_STREAM or (kind == http2.HEADERS and flags & 1)):
                return True
            at += 9 + int.from_bytes(data[at : at + 3])
    return False


@pytest.mark.parametrize("path", [CHECK, WATCH])
async def test_half_a_request_is_not_kept_for_ever(impatient: int, path: str) -> None:
    """250 of them on one connection held 370 MB, and needed no token."""
    with half_call(impatient, path) as half:
        assert await asyncio.to_thread(ended, half)


async def test_calls_without_their_request_are_few_and_hold_up_no_other_for_long(impatient: int) -> None:
    halves = [half_call(impatient, CHECK) for _ in range(12)]
    try:
        async with grpc_kit.connect(f"127.0.0.1:{impatient}") as channel, asyncio.timeout(20):
            request, said = health_pb2.HealthCheckRequest().SerializeToString(), {"RESOURCE_EXHAUSTED"}
            while "OK" not in said:
                call: Any = raw(channel.unary_unary(CHECK))(request)
                said.add((await call.code()).name)
            assert said == {"RESOURCE_EXHAUSTED", "OK"}
        assert all(await asyncio.gather(*(asyncio.to_thread(ended, each) for each in halves)))
    finally:
        for each in halves:
            each.close()


async def test_a_call_without_a_request_is_told(channel: aio.Channel) -> None:
    call: Any = raw(channel.stream_unary(CHECK))()
    await call.done_writing()
    with pytest.raises(aio.AioRpcError) as refused:
        await asyncio.wait_for(call, 5)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details() == "the call came without a request; send one"


async def test_calls_are_bounded_in_all_and_those_that_stand_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_kit, "MAX_CALLS", 4)
    server = grpc_kit.Server("127.0.0.1:0")
    port = await server.start([])
    request = health_pb2.HealthCheckRequest().SerializeToString()
    try:
        async with grpc_kit.connect(f"127.0.0.1:{port}") as channel:
            calls: list[Any] = [raw(channel.unary_stream(WATCH))(request) for _ in range(4)]
            for each in calls:
                await asyncio.wait_for(each.read(), 5)
            for _ in range(8):  # none of them makes room
                with pytest.raises(aio.AioRpcError) as refused:
                    await raw(channel.unary_unary(CHECK))(request)
                assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert not any(each.done() for each in calls)
            for each in calls:
                each.cancel()
    finally:
        await server.stop(0)


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
