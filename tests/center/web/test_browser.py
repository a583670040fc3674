"""The page in a real browser: its policy lets its own scripts, styles and pictures work, and nothing else.

Chromium is driven over its DevTools protocol; without one on this machine the tests are skipped.
"""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from websockets.asyncio.client import ClientConnection, connect

from center.output.broadcast import PairBroadcaster
from center.output.results import DecodedPair, ViewResult
from center.web.app import Page
from tests import locked
from wire.geometry import HEIGHT, WIDTH
from wire.security.keyring import Keyring
from wire.security.section import SecuritySection
from wire.security.tokens import digest, new_token
from wire.views import View

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
BOUND = 60.0
"""Seconds for anything: a browser on a busy machine takes its time."""

pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium: the page is in no real browser here"),
    pytest.mark.timeout(300),
]


class Browser:
    """One tab. problems: what its console says of refused scripts, styles and loads, and of errors."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._number = socket, 0
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._session = ""
        self.problems: list[str] = []
        self._reading = asyncio.create_task(self._read())

    async def start(self) -> None:
        target = (await self.call("Target.createTarget", url="about:blank"))["targetId"]
        self._session = (await self.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.call(f"{domain}.enable")

    async def close(self) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def call(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        answer = self._answers[self._number] = asyncio.get_running_loop().create_future()
        message = {"id": self._number, "method": method, "params": parameters}
        await self._socket.send(json.dumps(message | ({"sessionId": self._session} if self._session else {})))
        return await asyncio.wait_for(answer, BOUND)

    async def _read(self) -> None:
        async for text in self._socket:
            message = json.loads(text)
            if "id" in message:
                self._answers.pop(message["id"]).set_result(message.get("result", message.get("error")))
            elif message["method"] == "Log.entryAdded":
                entry = message["params"]["entry"]
                self.problems.append(f"{entry['text']} {entry.get('url', '')}")
            elif message["method"] == "Runtime.exceptionThrown":
                self.problems.append(str(message["params"]["exceptionDetails"]))

    async def value(self, expression: str) -> Any:
        """Of an expression on the page; "threw: ..." if it throws."""
        wrapped = f"(() => {{ try {{ return {expression}; }} catch (error) {{ return 'threw: ' + error; }} }})()"
        answer = await self.call("Runtime.evaluate", expression=wrapped)
        return answer.get("result", {}).get("value")

    async def until(self, expression: str) -> None:
        """Wait until it is true; also while pages change."""
        try:
            async with asyncio.timeout(BOUND):
                while await self.value(expression) is not True:  # noqa: ASYNC110 nobody tells
                    await asyncio.sleep(0.1)
        except TimeoutError:
            shown = await self.value("location.href + ' ' + document.body.innerText")
            pytest.fail(f"not true: {expression}; {shown}; {self.problems}")


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    flags += ["--ignore-certificate-errors", "--no-proxy-server", "--remote-debugging-port=0", "--disable-sync"]
    flags += ["--disable-background-networking", "--disable-component-update"]
    command = [CHROMIUM, *flags, f"--user-data-dir={tmp_path / 'profile'}", "about:blank"]
    environment = {**os.environ, "HOME": str(tmp_path)}
    none = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=none, stderr=none, start_new_session=True
    )
    try:
        place = tmp_path / "profile" / "DevToolsActivePort"
        async with asyncio.timeout(BOUND):
            while not (place.exists() and place.read_text().count("\n")):  # noqa: ASYNC110 nobody tells
                await asyncio.sleep(0.1)
        port, path = place.read_text().splitlines()
        async with connect(f"ws://127.0.0.1:{port}{path}", max_size=None, proxy=None) as socket:
            tab = Browser(socket)
            await tab.start()
            yield tab
            await tab.close()
    finally:
        os.killpg(process.pid, 9)
        await process.wait()


def pair(number: int) -> DecodedPair:
    """Newer with each number, measured, with pictures."""
    picture = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    views = tuple(ViewResult(view, number, 7.0, picture, 0.05, {"decode": 0.02}, 30.0, 0.9, picture) for view in View)
    return DecodedPair("lab", number, number, single=False, views=views)


class Served:
    """A page over HTTPS or plain HTTP, with or without tokens, that shows ever newer pairs."""

    def __init__(self, folder: Path, certs: Path, *, https: bool, tokens: bool, **status: Any) -> None:
        """status: what the center says of itself besides."""
        self.token, self.hub = new_token(), PairBroadcaster()
        book = folder / "tokens.yaml"
        book.write_text(f"tokens: [{{name: anna, role: viewer, sha256: {digest(self.token).hex()}}}]\n")
        certificate = locked.https(certs / "center/certificate.pem", certs / "center/key.pem")
        self.page = Page(
            "127.0.0.1",
            0,
            self.hub,
            CollectorRegistry(),
            "",
            lambda: {"ready": True, "why": "", "codec": "small-joint", **status},
            keys=Keyring(SecuritySection(tokens=str(book) if tokens else "")),
            certificate=certificate if https else None,
        )
        self._scheme = "https" if https else "http"

    async def __aenter__(self) -> str:
        """Where it is."""
        await self.page.start()
        self._showing = asyncio.create_task(self._show())
        return f"{self._scheme}://localhost:{self.page.port}/"

    async def __aexit__(self, *reason: object) -> None:
        self._showing.cancel()
        await asyncio.gather(self._showing, return_exceptions=True)
        await self.page.stop()

    async def _show(self) -> None:
        number = 0
        while True:
            self.hub.publish(pair(number := number + 1))
            await asyncio.sleep(0.2)


SHOWN = "document.querySelector('[data-part=frame]')?.textContent.startsWith('frame ') === true"
PAINTED = (
    "(() => { const canvas = document.querySelector('canvas.picture');"
    " return canvas.getContext('2d').getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data[0] > 90; })()"
)
STYLED = "getComputedStyle(document.body).backgroundColor === 'rgb(13, 16, 21)'"


@pytest.mark.parametrize("https", [False, True], ids=["http", "https"])
async def test_the_page_works_under_its_own_policy(browser: Browser, tmp_path: Path, certs: Path, https: bool) -> None:
    async with Served(tmp_path, certs, https=https, tokens=False) as address:
        await browser.call("Page.navigate", url=address)
        await browser.until(SHOWN)
        await browser.until(PAINTED)
        assert await browser.value(STYLED) is True
        assert await browser.value("document.querySelector('#login').hidden") is True
        # Without an emulator the links are answered 503; nothing else is told, while the page is there.
        assert [each for each in browser.problems if "503" not in each] == []


async def test_a_recording_that_has_stopped_is_told_above_the_pictures(
    browser: Browser, tmp_path: Path, certs: Path
) -> None:
    recording: dict[str, Any] = {"state": "recording", "why": "", "pairs": {"recorded": 1, "dropped": 0, "failed": 0}}
    said = "document.querySelector('#recording')"
    async with Served(tmp_path, certs, https=False, tokens=False, recording=recording) as address:
        await browser.call("Page.navigate", url=address)
        await browser.until(SHOWN)
        assert await browser.value(f"{said}.checkVisibility()") is False
        recording |= {"state": "stopped", "why": "no space left on device; make room", "pairs": {"failed": 1234}}
        await browser.until(f"{said}.checkVisibility()")
        assert await browser.value(f"{said}.innerText") == (
            "Recording has stopped No space left on device; make room. 1,234 pairs are missing so far. The center tries"
            " again by itself."
        )
        above = f"{said}.getBoundingClientRect().bottom < document.querySelector('#views').getBoundingClientRect().top"
        assert await browser.value(above) is True
        assert await browser.value(f"getComputedStyle({said}.firstElementChild).color") == "rgb(255, 143, 134)"
        recording["state"] = "recording"
        await browser.until(f"!{said}.checkVisibility()")


async def test_what_is_put_into_the_page_does_not_run(browser: Browser, tmp_path: Path, certs: Path) -> None:
    async with Served(tmp_path, certs, https=False, tokens=False) as address:
        await browser.call("Page.navigate", url=address)
        await browser.until(SHOWN)
        inline = (
            "(() => { const s = document.createElement('script'); s.text = 'window.ran = 1';"
            " document.body.append(s); })()"
        )
        assert str(await browser.value(inline)).startswith("threw: TypeError"), "trusted types"
        markup = "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran = 1\">')"
        assert str(await browser.value(markup)).startswith("threw: TypeError")
        await browser.value("document.body.setAttribute('style', 'background: red')")
        await browser.value("document.body.setAttribute('onclick', 'window.ran = 1')")
        await browser.value("document.body.click()")
        assert await browser.value("window.ran === undefined && " + STYLED) is True
    assert any("Content Security Policy" in each for each in browser.problems)


@pytest.mark.parametrize("https", [False, True], ids=["http", "https"])
async def test_a_person_logs_in_sees_the_pictures_and_leaves(
    browser: Browser, tmp_path: Path, certs: Path, https: bool
) -> None:
    served = Served(tmp_path, certs, https=https, tokens=True)
    async with served as address:
        await browser.call("Page.navigate", url=address)
        await browser.until("location.pathname === '/login' && document.readyState === 'complete'")
        assert await browser.value(STYLED) is True, "the form has its style too"
        await browser.value("document.querySelector('[name=token]').value = 'wrong'")
        await browser.value("document.querySelector('form').requestSubmit()")
        await browser.until("document.querySelector('[role=alert]:not([hidden])') !== null")
        await browser.value(f"document.querySelector('[name=token]').value = '{served.token}'")
        await browser.value("document.querySelector('form').requestSubmit()")
        await browser.until("location.pathname === '/' && " + SHOWN)
        await browser.until(PAINTED)
        await browser.until("document.querySelector('#who').textContent === 'anna (viewer)'")
        assert await browser.value("document.cookie") == "", "no script can read the session"
        [cookie] = (await browser.call("Network.getCookies", urls=[address]))["cookies"]
        assert (cookie["httpOnly"], cookie["sameSite"], cookie["secure"]) == (True, "Strict", https)
        await browser.value("document.querySelector('#log-out').click()")
        await browser.until("location.pathname === '/login'")
        assert (await browser.call("Network.getCookies", urls=[address]))["cookies"] == []
        await browser.call("Page.navigate", url=address)
        await browser.until("location.pathname === '/login'")
    assert [each for each in browser.problems if "Content Security Policy" in each] == []
