"""The page behind a reverse proxy that has put it under a path: every address is beside the page."""

import asyncio
import re
from collections.abc import AsyncIterator
from urllib.parse import urljoin

import httpx
import pytest
from prometheus_client import CollectorRegistry
from websockets.asyncio.client import connect

from center.output.broadcast import PairBroadcaster
from center.output.results import DecodedPair
from center.web.app import PAGE, Page
from center.web.guard import ASKED_BY_SCRIPT

PREFIX = "/cameras/two"


class PrefixProxy:
    """Hands on requests for PREFIX/..., without the prefix; knows nothing else. One request a connection."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            method, path, rest = head.split(" ", 2)
            if not path.startswith(PREFIX + "/"):
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            if "upgrade:" not in rest.lower():
                rest = re.sub(r"(?i)\r\nconnection:[^\r]*", "", rest).replace("\r\n", "\r\nConnection: close\r\n", 1)
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._target)
            to_writer.write(f"{method} {path.removeprefix(PREFIX)} {rest}".encode())
            try:
                await asyncio.gather(pipe(reader, to_writer), pipe(to_reader, writer))
            finally:
                to_writer.close()
        finally:
            writer.close()


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@pytest.fixture
def broadcaster() -> PairBroadcaster:
    return PairBroadcaster()


@pytest.fixture
async def address(broadcaster: PairBroadcaster) -> AsyncIterator[str]:
    """Of the page behind the proxy, with its port and prefix, without a scheme."""
    page = Page("127.0.0.1", 0, broadcaster, CollectorRegistry(), "", lambda: {"ready": True})
    await page.start()
    proxy = PrefixProxy(page.port)
    yield f"127.0.0.1:{await proxy.start()}{PREFIX}/"
    await proxy.stop()
    await page.stop()


async def test_every_file_of_the_page_is_found(address: str) -> None:
    pending, seen = [f"http://{address}"], set[str]()
    async with httpx.AsyncClient() as client:
        while pending:
            url = pending.pop()
            seen.add(url)
            answer = await client.get(url)
            assert answer.status_code == 200, url
            named = re.findall(r"""(?:href|src)="([^"]+)"|from "([^"]+)";""", answer.text)
            pending += {urljoin(url, html or script) for html, script in named} - seen - set(pending)
    files = {path.name for path in PAGE.iterdir()} - {"index.html"}
    assert {url.rpartition("/")[2] for url in seen} - {""} == files


async def test_the_scripts_name_no_path_from_the_root() -> None:
    for path in PAGE.iterdir():
        rooted = re.findall(r"""["'`]/[a-z][^"'`]*""", path.read_text())
        assert rooted == [], path.name


async def test_the_interface_and_the_pairs_are_beside_the_page(address: str, broadcaster: PairBroadcaster) -> None:
    async with httpx.AsyncClient(base_url=f"http://{address}") as client:
        assert (await client.get("api/status")).json()["ready"]
        own = f"http://{address.partition('/')[0]}"
        answer = await client.post("api/links/lab/left/reset", headers={"Origin": own, ASKED_BY_SCRIPT: "test"})
        assert answer.status_code == 503, "let in, but there is no emulator"
    async with connect(f"ws://{address}ws?rig=lab") as browser:
        receiving = asyncio.create_task(browser.recv())
        while not receiving.done():
            broadcaster.publish(DecodedPair("lab", 1, 1, single=True, views=()))
            await asyncio.wait([receiving], timeout=0.05)
        assert b'"rig":"lab"' in receiving.result()  # type: ignore[operator]
