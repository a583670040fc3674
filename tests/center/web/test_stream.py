import asyncio
import functools
import io
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from prometheus_client import CollectorRegistry
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from center.output import jpeg
from center.output.broadcast import PairBroadcaster
from center.output.results import DecodedPair, ViewResult
from center.output.room import Room
from center.web import app, stream
from center.web.app import Page
from center.web.stream import CREDIT
from wire.views import View

GREY = np.full((128, 256, 3), 128, np.uint8)
MOTTLED = np.random.default_rng(0).integers(90, 160, (16, 32, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)


def view(
    which: View, number: int, psnr_db: float | None = None, reference: NDArray[np.uint8] | None = None
) -> ViewResult:
    ms_ssim = None if psnr_db is None else 0.97
    stages = {"encode": 0.007, "decode": 0.025}
    return ViewResult(which, number, 5.0, GREY, 0.05, stages, psnr_db, ms_ssim, reference)


def pair(number: int, *views: ViewResult, rig: str = "lab") -> DecodedPair:
    now = time.time_ns()
    shown = views or (view(View.LEFT, number), view(View.RIGHT, number))
    return DecodedPair(rig, now - 50_000_000, now + number, len(shown) == 1, shown)


def unpack(message: bytes | str) -> tuple[dict[str, Any], bytes]:
    assert isinstance(message, bytes)
    length = int.from_bytes(message[:4], "little")
    return json.loads(message[4 : 4 + length], parse_constant=pytest.fail), message[4 + length :]


def picture(files: bytes, place: list[int]) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(files[place[0] : place[0] + place[1]])))


@pytest.fixture
def broadcaster() -> PairBroadcaster:
    return PairBroadcaster()


@pytest.fixture
async def page(broadcaster: PairBroadcaster) -> AsyncIterator[Page]:
    page = Page("127.0.0.1", 0, broadcaster, CollectorRegistry(), "", dict)
    await page.start()
    yield page
    await page.stop()


@pytest.fixture
async def browser(page: Page, broadcaster: PairBroadcaster) -> AsyncIterator[Any]:
    async with connect(f"ws://127.0.0.1:{page.port}/ws?rig=lab") as browser:
        await watched(page)
        yield browser


async def watched(page: Page, watchers: int = 1) -> None:
    async with asyncio.timeout(5):
        while page._watchers != watchers:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def read_on(browser: Any) -> None:
    """raises ConnectionClosed when the center ends it"""
    while True:
        await browser.recv()


async def test_a_message_is_a_header_and_pictures(broadcaster: PairBroadcaster, browser: Any) -> None:
    broadcaster.publish(pair(7, view(View.LEFT, 7, 27.5, MOTTLED), view(View.RIGHT, 8)))
    header, files = unpack(await browser.recv())
    assert (header["rig"], header["pairing"]) == ("lab", "paired")
    left, right = header["views"]
    assert (left["view"], left["sequence"], right["view"], right["sequence"]) == ("left", 7, "right", 8)
    assert left["latency_ms"] == pytest.approx(50.0)
    assert 50.0 <= left["age_ms"] < 5000.0
    assert left["stages_ms"] == pytest.approx({"encode": 7.0, "decode": 25.0})
    assert (left["size"], left["symbols"]) == ([128, 256], 5120)
    assert np.abs(picture(files, left["picture"]).astype(int) - GREY).max() <= 2
    [measured] = header["measured"]
    assert {name: measured[name] for name in ("view", "sequence", "snr_db", "psnr_db", "ms_ssim")} == {
        "view": "left",
        "sequence": 7,
        "snr_db": 5.0,
        "psnr_db": 27.5,
        "ms_ssim": 0.97,
    }
    shown = picture(files, measured["reference"]).astype(int)
    assert shown.shape == (128, 256, 3)
    assert np.abs(shown - MOTTLED).mean() < 4  # a JPEG of quality 92 is near, not equal


async def test_pictures_of_any_size_are_shown(broadcaster: PairBroadcaster, browser: Any) -> None:
    large = MOTTLED.repeat(4, 0).repeat(4, 1)
    views = tuple(replace(view(side, 1, 30.0, large), picture=large) for side in View)
    broadcaster.publish(pair(1, *views))
    header, files = unpack(await browser.recv())
    for live, measured in zip(header["views"], header["measured"], strict=True):
        assert (live["size"], live["symbols"]) == ([512, 1024], 81920)
        assert picture(files, live["picture"]).shape == picture(files, measured["reference"]).shape == (512, 1024, 3)


async def test_what_json_cannot_carry_is_said_in_words(broadcaster: PairBroadcaster, browser: Any) -> None:
    infinite = float("inf")
    broadcaster.publish(pair(1, ViewResult(View.LEFT, 1, infinite, GREY, float("nan"), {}, infinite, 1.0, GREY)))
    header, _ = unpack(await browser.recv())
    assert header["pairing"] == "single"
    [left] = header["views"]
    assert (left["snr_db"], left["latency_ms"], left["age_ms"]) == ("noiseless", None, None)
    assert header["measured"][0]["psnr_db"] == "identical"


async def test_a_browser_that_sends_as_fast_as_it_can_is_cut_off(page: Page) -> None:
    """One of them took the event loop: every camera's frames waited for a third of a second."""
    async with connect(f"ws://127.0.0.1:{page.port}/ws?rig=lab") as browser:
        await watched(page)
        for _ in range(500):  # a browser that keeps to it sends no more in a minute
            await browser.send("")
        assert page._watchers == 1
        with pytest.raises(ConnectionClosed):
            await asyncio.gather(*(browser.send("x" * 1000) for _ in range(100)), read_on(browser))
        await watched(page, 0)


async def test_what_a_browser_has_not_answered_takes_room(page: Page, broadcaster: PairBroadcaster) -> None:
    """Sockets that read nothing held 8 MB each of pictures of 512x1024: what is sent waits in a buffer of ours."""
    room = page._room = Room(pair(1).nbytes, slow=3600.0)
    url = f"ws://127.0.0.1:{page.port}/ws?rig=lab"
    async with connect(url) as one, connect(url) as other:
        await watched(page, 2)
        broadcaster.publish(pair(1))
        reads = {asyncio.create_task(each.recv()): each for each in (one, other)}
        done, waiting = await asyncio.wait(reads, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        [served], [late] = done, waiting
        broadcaster.publish(pair(2))
        await asyncio.sleep(0.2)
        assert not late.done()
        await reads[served].send("")
        header, _ = unpack(await asyncio.wait_for(late, 5))
        assert header["views"][0]["sequence"] == 2, "the newest by then"
    await watched(page, 0)
    assert room._free == room._size


async def test_a_slow_browser_misses_frames_and_never_sees_stale_ones(
    broadcaster: PairBroadcaster, browser: Any
) -> None:
    for number in range(1, CREDIT + 1):
        broadcaster.publish(pair(number))
        header, _ = unpack(await browser.recv())
        assert header["views"][0]["sequence"] == number
    for number in range(CREDIT + 1, 20):
        broadcaster.publish(pair(number))
        await asyncio.sleep(0)
    await browser.send("shown")  # had a message been sent without credit, it would come before that of number 19
    header, _ = unpack(await browser.recv())
    assert header["views"][0]["sequence"] == 19


async def test_a_browser_that_answers_nothing_is_left(
    broadcaster: PairBroadcaster, page: Page, browser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = functools.partial(stream.serve_watcher, unanswered=0.05)
    monkeypatch.setattr(app, "serve_watcher", impatient)
    async with connect(f"ws://127.0.0.1:{page.port}/ws?rig=lab") as silent:
        await watched(page, 2)
        for number in range(1, CREDIT + 1):
            broadcaster.publish(pair(number))
            await silent.recv()
        with pytest.raises(ConnectionClosed) as closed:
            await silent.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        await watched(page, 1)
    await browser.recv()  # the other one, within its time, is still there


async def test_each_rig_has_its_own_figures(broadcaster: PairBroadcaster, page: Page) -> None:
    """A browser that takes every rig: one rig's figures and original never stand in a message of another."""
    async with connect(f"ws://127.0.0.1:{page.port}/ws") as browser:
        await watched(page)
        broadcaster.publish(pair(1, view(View.LEFT, 1, 25.0, MOTTLED), view(View.RIGHT, 1), rig="barn"))
        broadcaster.publish(pair(2, rig="lab"))
        headers = [unpack(await browser.recv())[0] for _ in range(2)]
    assert [(header["rig"], len(header["measured"])) for header in headers] == [("barn", 1), ("lab", 0)]


async def test_late_figures_come_without_their_old_picture(broadcaster: PairBroadcaster, browser: Any) -> None:
    older, newer = pair(1), pair(9)
    broadcaster.publish(newer)
    assert unpack(await browser.recv())[0]["views"][0]["sequence"] == 9
    broadcaster.publish(replace(older, views=(view(View.LEFT, 1, 30.0, MOTTLED), *older.views[1:])))
    header, files = unpack(await browser.recv())
    assert header["views"] == []
    [measured] = header["measured"]
    assert (measured["sequence"], measured["psnr_db"]) == (1, 30.0)
    assert measured["reference"] == [0, len(files)], "the original and no other picture"


@pytest.mark.parametrize("failing", ["center.web.stream.make_message", "center.output.broadcast.Watcher.acknowledge"])
async def test_a_failure_is_told_to_the_browser_and_in_the_log(
    broadcaster: PairBroadcaster,
    browser: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failing: str,
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(failing, fail)
    broadcaster.publish(pair(1))
    await browser.send("shown")
    with pytest.raises(ConnectionClosed) as closed:
        await read_on(browser)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1011, "not 1001, as if the center left"
    assert "a browser could not be served" in caplog.text
    assert "on purpose" in caplog.text


async def test_another_rig_is_not_shown(broadcaster: PairBroadcaster, browser: Any) -> None:
    broadcaster.publish(pair(1, rig="barn"))
    broadcaster.publish(pair(2, rig="lab"))
    header, _ = unpack(await browser.recv())
    assert header["rig"] == "lab"


async def test_without_a_rig_every_rig_is_shown(broadcaster: PairBroadcaster, page: Page) -> None:
    async with connect(f"ws://127.0.0.1:{page.port}/ws") as browser:
        await watched(page)
        broadcaster.publish(pair(1, rig="barn"))
        assert unpack(await browser.recv())[0]["rig"] == "barn"


async def test_a_page_of_another_origin_may_not_watch(page: Page) -> None:
    with pytest.raises(InvalidStatus, match="403"):
        await connect(f"ws://127.0.0.1:{page.port}/ws", origin="https://elsewhere.example")  # type: ignore[arg-type]


async def test_a_browser_that_leaves_is_forgotten(broadcaster: PairBroadcaster, page: Page, browser: Any) -> None:
    broadcaster.publish(pair(1))
    await browser.recv()
    await browser.close()
    await watched(page, 0)
    assert not page._cache._files


async def test_no_picture_is_encoded_while_nobody_watches(
    broadcaster: PairBroadcaster, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[NDArray[np.uint8]] = []
    encode = jpeg.encode

    def spy(picture: NDArray[np.uint8]) -> bytes:
        encoded.append(picture)
        return encode(picture)

    monkeypatch.setattr(jpeg, "encode", spy)
    broadcaster.publish(pair(1, replace(view(View.LEFT, 1), picture=MOTTLED)))
    assert page._watchers == 0
    async with connect(f"ws://127.0.0.1:{page.port}/ws?rig=lab") as browser:
        await watched(page)
        broadcaster.publish(pair(2))
        assert unpack(await browser.recv())[0]["views"][0]["sequence"] == 2
    assert encoded, "the spy sees what is encoded"
    assert all(each is GREY for each in encoded), "nothing of pair 1"


async def test_the_stop_ends_the_watchers(broadcaster: PairBroadcaster) -> None:
    page = Page("127.0.0.1", 0, broadcaster, CollectorRegistry(), "", dict)
    await page.start()
    async with connect(f"ws://127.0.0.1:{page.port}/ws") as browser:
        await watched(page)
        async with asyncio.timeout(3):
            await page.stop()
        with pytest.raises(ConnectionClosed):
            await browser.recv()
    assert page._watchers == 0


async def test_a_hub_that_closes_ends_the_watchers(broadcaster: PairBroadcaster, page: Page, browser: Any) -> None:
    broadcaster.close()
    with pytest.raises(ConnectionClosed) as closed:
        await browser.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001
