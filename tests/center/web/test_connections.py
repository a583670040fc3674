"""Clients that say nothing, little or too much. Times are tenths of a second here."""

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from typing import Any

import httpx
import numpy as np
import pytest
from grpc import aio
from prometheus_client import CollectorRegistry
from websockets.asyncio.client import connect

from center.output.broadcast import PairBroadcaster
from center.output.results import DecodedPair
from center.web.app import Page
from center.web.connections import Limits
from wire.contract.arrays import pack_complex
from wire.geometry import SYMBOLS
from wire.runtime import grpc_kit
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.v1 import symbol_link_service_pb2_grpc as link_grpc
from wire.v1 import types_pb2

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
PATCH = (
    b"PATCH /api/links/lab/left HTTP/1.1\r\nHost: localhost\r\nX-Requested-With: test\r\nContent-Length: 100\r\n\r\n"
)
SHORT = Limits(most=8, most_per_client=4, header_seconds=0.3, request_seconds=0.6)
OTHER_CLIENT = "127.0.0.2"


@pytest.fixture
def broadcaster() -> PairBroadcaster:
    return PairBroadcaster()


@pytest.fixture
async def page(broadcaster: PairBroadcaster) -> AsyncIterator[Page]:
    page = Page("127.0.0.1", 0, broadcaster, CollectorRegistry(), "", lambda: {"ready": True}, limits=SHORT)
    await page.start()
    yield page
    await page.stop()


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def dial(page: Page) -> AsyncIterator[Callable[..., Any]]:
    """Opens connections; the tests leave them."""
    made: list[asyncio.StreamWriter] = []

    async def dial(source: str = "127.0.0.1") -> Stream:
        reader, writer = await asyncio.open_connection("127.0.0.1", page.port, local_addr=(source, 0))
        made.append(writer)
        return reader, writer

    yield dial
    for writer in made:
        writer.close()


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    """What still comes."""
    async with asyncio.timeout(5):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


async def answer(stream: Stream) -> bytes:
    """The head of one answer, its body read too."""
    reader, _ = stream
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-l"))
        await reader.readexactly(length)
    return head


async def test_a_socket_that_says_nothing_is_closed(dial: Any) -> None:
    began = time.monotonic()
    reader, _ = await dial()
    assert await until_closed(reader) == b""
    assert time.monotonic() - began >= SHORT.header_seconds


@pytest.mark.parametrize("before", [b"", GET], ids=["the first request", "a further one"])
async def test_headers_that_come_byte_by_byte_win_no_time(dial: Any, before: bytes) -> None:
    reader, writer = stream = await dial()
    if before:
        writer.write(before)
        assert b"200 OK" in await answer(stream)
    closing = asyncio.create_task(until_closed(reader))
    for byte in GET[:-1]:
        writer.write(bytes([byte]))
        if await asyncio.wait([closing], timeout=0.05) != (set(), {closing}):
            break
    assert closing.done(), "the last byte but one was taken"
    assert closing.result() == b""


async def test_a_body_that_does_not_come_is_not_waited_for(dial: Any) -> None:
    reader, writer = await dial()
    writer.write(PATCH)
    assert await until_closed(reader) == b""


async def test_a_request_in_time_is_answered_as_ever(dial: Any) -> None:
    stream = await dial()
    _, writer = stream
    for _ in range(3):
        writer.write(GET[:10])
        await asyncio.sleep(SHORT.header_seconds / 2)
        writer.write(GET[10:])
        assert b"200 OK" in await answer(stream)
    writer.write(GET + GET)
    assert b"200 OK" in await answer(stream)
    assert b"200 OK" in await answer(stream)
    writer.close()


async def test_junk_is_refused_and_fills_no_log(dial: Any, caplog: pytest.LogCaptureFixture) -> None:
    for junk in (b"\x16\x03\x01 TLS\r\n\r\n", b"GET / HTTP/1.1\r\nno header\r\n\r\n"):
        reader, writer = await dial()
        writer.write(junk)
        assert b" 400 " in await until_closed(reader)
    assert caplog.text == ""


UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(b"Content-Length: 1000000\r\n", id="a body"),
        pytest.param(b"Transfer-Encoding: chunked\r\n", id="a body in chunks"),
        pytest.param(b"Cookie: " + b"a" * 9_000 + b"\r\n", id="a long header"),
        pytest.param(b"".join(b"X-%d: 1\r\n" % number for number in range(200)), id="many headers"),
    ],
)
async def test_an_upgrade_that_is_none_is_refused(dial: Any, header: bytes) -> None:
    """uvicorn answered nothing, and waited for ever: 256 of them took every connection of the page."""
    reader, writer = await dial()
    writer.write(UPGRADE + header + b"\r\n")
    assert b" 400 " in await until_closed(reader)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (UPGRADE.replace(b"/ws", b"/other"), b" 404 "),
        (UPGRADE.replace(b"localhost", b"elsewhere"), b" 421 "),
        (UPGRADE + b"Origin: http://elsewhere\r\n", b" 403 "),
        (UPGRADE.replace(b"Version: 13", b"Version: 12"), b" 400 "),
    ],
)
async def test_a_refused_socket_fills_no_log(
    dial: Any, caplog: pytest.LogCaptureFixture, request_: bytes, status: bytes
) -> None:
    reader, writer = await dial()
    writer.write(request_ + b"\r\n")
    assert status in await until_closed(reader)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_client_has_its_share_and_others_have_theirs(dial: Any, caplog: pytest.LogCaptureFixture) -> None:
    silent = [await dial() for _ in range(SHORT.most_per_client)]
    for _ in range(3):
        reader, _ = await dial()
        assert (await until_closed(reader)).startswith(b"HTTP/1.1 503")
    other = await dial(OTHER_CLIENT)
    other[1].write(GET)
    assert b"200 OK" in await answer(other)
    for reader, _ in silent:
        await until_closed(reader)
    again = await dial()
    again[1].write(GET)
    assert b"200 OK" in await answer(again), "silent ones make room when their time is over"
    assert caplog.text.count("the page refuses connections") == 1, "told once, not for each"
    assert "raise page.max_connections_per_client" in caplog.text, "the limit that was met"


async def test_all_clients_together_are_bounded(dial: Any) -> None:
    for number in range(SHORT.most):
        await dial(f"127.0.0.{10 + number}")
    reader, _ = await dial(OTHER_CLIENT)
    assert (await until_closed(reader)).startswith(b"HTTP/1.1 503")


async def test_a_browser_counts_and_outlives_the_limits_of_a_request(page: Page, broadcaster: PairBroadcaster) -> None:
    async with connect(f"ws://127.0.0.1:{page.port}/ws?rig=lab") as browser:
        await asyncio.sleep(2 * SHORT.request_seconds)
        broadcaster.publish(DecodedPair("lab", 1, 1, single=True, views=()))
        assert b'"rig":"lab"' in await asyncio.wait_for(browser.recv(), 5)  # type: ignore[operator]
        with ExitStack() as more:
            for _ in range(SHORT.most_per_client - 1):
                more.enter_context(socket.create_connection(("127.0.0.1", page.port)))
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{page.port}") as client:
                assert (await client.get("/healthz")).status_code == 503


CENTER = """
import asyncio, resource, sys
import numpy as np
from center.config import CenterConfig
from center.service import Center

class Engine:
    name, codec_hash = "fake", "0123456789abcdef"
    def decode(self, batch):
        return np.zeros((len(batch), 2, 3, 128, 256), np.float32)

async def main():
    config = {"listen": "127.0.0.1:0", "emulator": "", "page": {"port": 0, "max_connections": 100_000,
              "max_connections_per_client": 100_000}, "drain_s": 0.1}
    center = Center(CenterConfig.model_validate(config), Engine())
    await center.start()
    print(center.port, center.page.port, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await center.stop()

_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
asyncio.run(main())
"""


async def test_a_flooded_page_shuts_out_no_camera() -> None:
    """300 silent sockets at the page of a center that may open 200 files, whatever its configuration allows."""
    pipe = asyncio.subprocess.PIPE
    center = await asyncio.create_subprocess_exec(sys.executable, "-c", CENTER, stdin=pipe, stdout=pipe)
    assert center.stdin is not None
    assert center.stdout is not None
    try:
        port, page_port = map(int, (await center.stdout.readline()).split())
        with ExitStack() as flood:
            for _ in range(300):
                flood.enter_context(socket.create_connection(("127.0.0.1", page_port)))
            assert await camera_is_served(f"127.0.0.1:{port}") == link_pb2.OUTCOME_ACCEPTED
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{page_port}") as client:
            assert (await client.get("/healthz")).status_code == 200, "and the page is back when they leave"
    finally:
        center.stdin.close()
        assert await asyncio.wait_for(center.wait(), 10) == 0


async def camera_is_served(address: str) -> "link_pb2.Outcome.ValueType":
    """What becomes of the first frame of a camera that connects now."""
    async with grpc_kit.connect(address) as channel, asyncio.timeout(20):
        call: Any = link_grpc.SymbolLinkServiceStub(channel).Transmit(wait_for_ready=True)
        hello = link_pb2.Hello(rig="lab", view=types_pb2.VIEW_LEFT, codec_hash="0123456789abcdef", boot_id=1)
        await call.write(link_pb2.TransmitRequest(hello=hello))
        frame = link_pb2.SymbolFrame(
            sequence=1,
            captured_at_ns=time.time_ns(),
            symbols=pack_complex(np.ones(SYMBOLS, np.complex64)),
            age_budget_ms=60_000,
        )
        await call.write(link_pb2.TransmitRequest(frame=frame))
        while (response := await call.read()) is not aio.EOF:
            if response.WhichOneof("message") == "acknowledgement":
                call.cancel()
                return response.acknowledgement.outcome  # type: ignore[no-any-return]
    raise AssertionError("the stream ended")
