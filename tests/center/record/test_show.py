"""A replay on the page."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from center.decode.engines import Engine
from center.record.reader import Recording, files
from center.record.replay import Replay, ReplayedPair
from center.record.show import Show, to_pair
from tests.recordings import Record, job
from tests.waiting import eventually
from wire.v1 import recording_pb2

Messages = list[Any]


@pytest.fixture
def messages(record: Record) -> Messages:
    """Three pairs, 0.2 s apart."""
    found = [m for path in files(record([[job(1)], [job(2)], [job(3)]])) for m in Recording(path).messages()]
    first = next(m for m in found if isinstance(m, recording_pb2.RecordedPair))
    begin = first.decoded_at_ns
    moved: dict[int, int] = {}
    for message in found:
        if isinstance(message, recording_pb2.RecordedPair):
            moved[message.decoded_at_ns] = begin + 200_000_000 * len(moved)
    for message in found:
        if isinstance(message, recording_pb2.RecordedPair):
            message.decoded_at_ns = moved[message.decoded_at_ns]
    return found


@pytest.fixture
async def show(codec_engine: Engine) -> AsyncIterator[Show]:
    made = Show(Replay(lambda session: codec_engine, with_ms_ssim=True), 0, 1.0, "ring")
    await made.page.start()
    yield made
    made.broadcaster.close()
    await made.page.stop()


def timed(events: Iterator[Any], at: list[float]) -> Iterator[Any]:
    for event in events:
        if isinstance(event, ReplayedPair):
            at.append(time.monotonic())
        yield event


async def test_pairs_come_at_their_own_pace_with_pictures_and_figures(show: Show, messages: Messages) -> None:
    headers: list[Any] = []

    async def watch() -> None:
        """Of pairs 0.2 s apart a busy machine may show only the newest, but always the last, maybe before the end."""
        async with connect(f"ws://127.0.0.1:{show.page.port}/ws") as socket:
            while not (headers and headers[-1]["measured"] and show.status()["replay"]["ended"]):
                try:
                    message = await asyncio.wait_for(socket.recv(), 0.2)
                except TimeoutError:
                    continue
                assert isinstance(message, bytes)
                size = int.from_bytes(message[:4], "little")
                headers.append(json.loads(message[4 : 4 + size]))
                at, length = headers[-1]["views"][0]["picture"]
                assert message[4 + size + at : 4 + size + at + length].startswith(b"\xff\xd8\xff")
                await socket.send("seen")

    watching = asyncio.create_task(watch())
    await eventually(lambda: show.page._watchers == 1)
    began = time.monotonic()
    await show.play(show._replay.events(messages))
    assert time.monotonic() - began >= 0.4
    await asyncio.wait_for(watching, 10)
    assert {header["rig"] for header in headers} == {"lab"}
    assert any(header["measured"] and header["measured"][0]["psnr_db"] for header in headers)
    status = show.status()["replay"]
    assert status == {"of": "ring", "speed": 1.0, "ended": True, "pairs": 3, "views": {"equal": 6, "different": 0}}


async def test_the_page_can_change_nothing_and_is_on_loopback(show: Show) -> None:
    assert show.page.host == "127.0.0.1"
    headers = {"X-Requested-With": "test"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{show.page.port}", headers=headers) as client:
        refused = await client.patch("/api/links/lab/left", json={"snr_db": 3})
        assert refused.status_code == 503
        assert (await client.post("/api/links/lab/left/reset")).status_code == 503
        assert (await client.get("/")).status_code == 200


def test_ages_and_stages_are_those_of_the_recording(messages: Messages, codec_engine: Engine) -> None:
    event = next(e for e in Replay(lambda session: codec_engine).events(messages) if isinstance(e, ReplayedPair))
    shown = to_pair(event, shown_at_ns=5_000_000_000)
    assert shown.decoded_at_ns == 5_000_000_000
    recorded = event.recorded
    assert shown.captured_at_ns == 5_000_000_000 - (recorded.decoded_at_ns - recorded.captured_at_ns)
    left = shown.views[0]
    assert left.latency == pytest.approx((recorded.decoded_at_ns - recorded.frames[0].captured_at_ns) / 1e9)
    assert left.stages["encode"] == pytest.approx(0.011)
    assert sum(left.stages.values()) == pytest.approx(left.latency, abs=1e-3)
