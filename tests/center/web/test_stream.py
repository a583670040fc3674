import asyncio
import io
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from prometheus_client import CollectorRegistry
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from center.output.broadcast import PairBroadcaster
from center.output.results import DecodedPair, ViewResult
from center.web import stream
from center.web.app import Page
from center.web.stream import CREDIT, JpegCache, Outbox
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
def hub() -> PairBroadcaster:
    return PairBroadcaster()


@pytest.fixture
async def page(hub: PairBroadcaster) -> AsyncIterator[Page]:
    page = Page("127.0.0.1", 0, hub, CollectorRegistry(), "", dict)
    await page.start()
    yield page
    await page.stop()


@pytest.fixture
async def browser(page: Page, hub: PairBroadcaster) -> AsyncIterator[Any]:
    async with connect(f"ws://127.0.0.1:{page.port}/ws?rig=lab") as browser:
        await watched(page)
        yield browser


async def watched(page: Page, watchers: int = 1) -> None:
    async with asyncio.timeout(5):
        while page._watchers != watchers:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_a_message_is_a_header_and_pictures(hub: PairBroadcaster, browser: Any) -> None:
    hub.publish(pair(7, view(View.LEFT, 7, 27.5, MOTTLED), view(View.RIGHT, 8)))
    header, files = unpack(await browser.recv())
    assert (header["rig"], header["pairing"]) == ("lab", "paired")
    left, right = header["views"]
    assert (left["view"], left["sequence"], right["view"], right["sequence"]) == ("left", 7, "right", 8)
    assert left["latency_ms"] == pytest.approx(50.0)
    assert 50.0 <= left["age_ms"] < 5000.0
    assert left["stages_ms"] == pytest.approx({"encode": 7.0, "decode": 25.0})
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


async def test_what_json_cannot_carry_is_said_in_words(hub: PairBroadcaster, browser: Any) -> None:
    infinite = float("inf")
    hub.publish(pair(1, ViewResult(View.LEFT, 1, infinite, GREY, float("nan"), {}, infinite, 1.0, GREY)))
    header, _ = unpack(await browser.recv())
    assert header["pairing"] == "single"
    [left] = header["views"]
    assert (left["snr_db"], left["latency_ms"], left["age_ms"]) == ("noiseless", None, None)
    assert header["measured"][0]["psnr_db"] == "identical"


async def test_a_slow_browser_misses_frames_and_never_sees_stale_ones(hub: PairBroadcaster, browser: Any) -> None:
    for number in range(1, CREDIT + 1):
        hub.publish(pair(number))
        header, _ = unpack(await browser.recv())
        assert header["views"][0]["sequence"] == number
    for number in range(CREDIT + 1, 20):
        hub.publish(pair(number))
        await asyncio.sleep(0)
    await browser.send("shown")
    header, _ = unpack(await browser.recv())
    assert header["views"][0]["sequence"] == 19, "nothing came between: the credit was spent"


async def test_another_rig_is_not_shown(hub: PairBroadcaster, browser: Any) -> None:
    hub.publish(pair(1, rig="barn"))
    hub.publish(pair(2, rig="lab"))
    header, _ = unpack(await browser.recv())
    assert header["rig"] == "lab"


async def test_without_a_rig_every_rig_is_shown(hub: PairBroadcaster, page: Page) -> None:
    async with connect(f"ws://127.0.0.1:{page.port}/ws") as browser:
        await watched(page)
        hub.publish(pair(1, rig="barn"))
        assert unpack(await browser.recv())[0]["rig"] == "barn"


async def test_a_page_of_another_origin_may_not_watch(page: Page) -> None:
    with pytest.raises(InvalidStatus, match="403"):
        await connect(f"ws://127.0.0.1:{page.port}/ws", origin="https://elsewhere.example")  # type: ignore[arg-type]


async def test_a_browser_that_leaves_is_forgotten(hub: PairBroadcaster, page: Page, browser: Any) -> None:
    hub.publish(pair(1))
    await browser.recv()
    await browser.close()
    await watched(page, 0)
    assert not page._shelf._files


async def test_no_picture_is_encoded_while_nobody_watches(
    hub: PairBroadcaster, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def jpeg(each: NDArray[np.uint8]) -> bytes:
        made.append("file")
        return b"file"

    monkeypatch.setattr(stream, "jpeg", jpeg)
    hub.publish(pair(1))
    async with connect(f"ws://127.0.0.1:{page.port}/ws") as browser:
        await watched(page)
        assert made == [], "nobody watched when the first pair came"
        hub.publish(pair(2))
        header, _ = unpack(await browser.recv())
    assert header["views"][0]["sequence"] == 2
    assert made


async def test_the_stop_ends_the_watchers(hub: PairBroadcaster) -> None:
    page = Page("127.0.0.1", 0, hub, CollectorRegistry(), "", dict)
    await page.start()
    async with connect(f"ws://127.0.0.1:{page.port}/ws") as browser:
        await watched(page)
        async with asyncio.timeout(3):
            await page.stop()
        with pytest.raises(ConnectionClosed):
            await browser.recv()
    assert page._watchers == 0


async def test_a_hub_that_closes_ends_the_watchers(hub: PairBroadcaster, page: Page, browser: Any) -> None:
    hub.close()
    with pytest.raises(ConnectionClosed) as closed:
        await browser.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001


async def test_a_measurement_outlives_the_pair_that_was_missed() -> None:
    outbox = Outbox()
    outbox.offer(pair(1, view(View.LEFT, 1, 25.0), view(View.RIGHT, 1, 31.0)))
    outbox.offer(pair(2, view(View.LEFT, 2, 26.0), view(View.RIGHT, 2)))
    outbox.offer(pair(3))
    parcel = await outbox.take()
    assert [each.sequence for each in parcel.pair.views] == [3, 3]
    assert [(each.view, each.sequence) for each in parcel.measured] == [(View.LEFT, 2), (View.RIGHT, 1)]
    outbox.offer(pair(4))
    assert (await outbox.take()).measured == ()


async def test_figures_of_one_rig_are_never_shown_beside_another_s_picture() -> None:
    outbox = Outbox()
    outbox.offer(pair(1, view(View.LEFT, 1, 25.0), view(View.RIGHT, 1), rig="barn"))
    outbox.offer(pair(2, rig="lab"))
    parcel = await outbox.take()
    assert (parcel.pair.rig, parcel.measured) == ("lab", ())
    outbox.offer(pair(3, rig="barn"))
    parcel = await outbox.take()
    assert (parcel.pair.rig, [each.psnr_db for each in parcel.measured]) == ("barn", [25.0])


async def test_figures_that_are_never_shown_do_not_pile_up() -> None:
    outbox = Outbox()
    for number in range(1_000):
        outbox.offer(pair(number, view(View.LEFT, number, 25.0), view(View.RIGHT, number, 26.0), rig=f"rig-{number}"))
    assert len(outbox._measured) <= 16


async def test_a_collector_that_fails_is_not_a_closed_center(
    hub: PairBroadcaster, browser: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(self: Outbox, pair: DecodedPair) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(Outbox, "offer", fails)
    hub.publish(pair(1))
    with pytest.raises(ConnectionClosed) as closed:
        await browser.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1011
    assert "collecting pairs for a browser failed" in caplog.text


async def test_credit_never_grows_beyond_the_window() -> None:
    outbox = Outbox(credit=1)
    for _ in range(5):
        outbox.acknowledge()
    outbox.offer(pair(1))
    await outbox.take()
    outbox.offer(pair(2))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(outbox.take(), 0.01)


async def test_a_picture_is_encoded_once_for_all_browsers(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def jpeg(each: NDArray[np.uint8]) -> bytes:
        made.append(id(each))
        return b"file"

    monkeypatch.setattr(stream, "jpeg", jpeg)
    shelf = JpegCache()
    await asyncio.gather(*(shelf.files([GREY, MOTTLED]) for _ in range(4)))
    assert made == [id(GREY), id(MOTTLED)]


async def test_the_shelf_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "jpeg", lambda each: bytes(each[:1]))
    shelf = JpegCache()
    for number in range(100):
        picture = np.full(4, number, np.uint8)
        assert await shelf.files([picture]) == [bytes([number])]
    assert len(shelf._files) <= 16


async def test_late_figures_wait_for_the_next_picture_and_never_bring_an_old_one() -> None:
    outbox = Outbox()
    older = pair(1, view(View.LEFT, 1, psnr_db=30.0), view(View.RIGHT, 1))
    newer = pair(9)
    outbox.offer(newer)
    assert (await outbox.take()).pair is newer
    outbox.offer(older)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(outbox.take(), 0.01)
    newest = pair(20)
    outbox.offer(newest)
    parcel = await outbox.take()
    assert parcel.pair is newest
    assert [each.psnr_db for each in parcel.measured] == [30.0]
