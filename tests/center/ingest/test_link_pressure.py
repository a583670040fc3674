"""Old frames, full queues, slow or failing decoders and drains, over real gRPC."""

import asyncio
import re
import socket
import struct
import time
from typing import Any

import pytest

from deploy.bench.faults import http2
from tests.center.conftest import CODEC_HASH, Camera, awgn, frames, newest, wait_for_partners
from tests.waiting import eventually
from wire.geometry import SYMBOLS
from wire.runtime.grpc_kit import STATUS_LOST, connect, healthy
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.v1 import types_pb2
from wire.views import View

ACCEPTED, DROPPED, REJECTED = link_pb2.OUTCOME_ACCEPTED, link_pb2.OUTCOME_DROPPED, link_pb2.OUTCOME_REJECTED


async def test_a_frame_beyond_its_age_budget_is_not_decoded(engine: Any, camera: Any) -> None:
    left = camera(View.LEFT)
    await left.connect()
    await left.send(1, time.time() - 0.5, age_budget_ms=100)
    answer = await left.answer()
    assert (answer.outcome, answer.reason) == (DROPPED, "late")
    came = re.fullmatch(r"it came (\d+\.\d\d) s after its capture; 0\.10 s are allowed", answer.detail)
    assert came is not None
    assert 0.5 <= float(came[1]) < 5.0, "half a second, and what a busy machine takes"
    assert engine.batches == []


async def test_a_camera_whose_clock_is_an_hour_off_is_seen(center: Any, camera: Any) -> None:
    hour = 3600.0
    left = camera(View.LEFT, sent_at_ns=round((time.time() - hour) * 1e9))
    await left.connect()
    await left.send(1, time.time() - hour, age_budget_ms=500)
    assert (await left.answer()).outcome == ACCEPTED


async def test_a_clock_that_is_set_back_does_not_make_every_frame_late(camera: Any) -> None:
    left = camera(View.LEFT)
    await left.connect()
    await left.send(1, age_budget_ms=500)
    assert (await left.answer()).outcome == ACCEPTED
    await left.send(2, time.time() - 0.6, age_budget_ms=500)
    assert (await left.answer()).outcome == ACCEPTED
    await left.send(1, time.time() - 3600, age_budget_ms=500)
    await left.answer()
    await left.send(3, time.time() - 0.6, age_budget_ms=500)
    assert (await left.answer()).outcome == ACCEPTED, "a frame that came again did not move the clock"


async def test_frames_that_are_answered_at_once_do_not_come_without_end(center: Any, camera: Any) -> None:
    """Late ones, and wrong ones, take nothing of the decoder and so no credit: 1,900 a second took half a core."""
    left = camera(View.LEFT)
    await left.connect()
    now = center.clock.now()
    center.clock.now = lambda: now  # they come as fast as they can, also on a busy machine
    for sequence in range(1, 256):
        await left.send(sequence, channel_state=types_pb2.ChannelState(snr_db=float("nan")))
        assert (await left.answer()).reason == "not_finite"
    await left.send(256, channel_state=types_pb2.ChannelState(snr_db=float("nan")))
    assert await left.status() == ("RESOURCE_EXHAUSTED", "256 frames came within 0.8 s; send fewer a second")


async def test_frames_without_credit_are_dropped_at_the_door(center: Any, camera: Any) -> None:
    wait_for_partners(center)
    left, right = camera(View.LEFT), camera(View.RIGHT)
    await left.connect()
    await right.connect()
    for sequence in range(1, 6):
        await left.send(sequence)
    refused = [await left.answer() for _ in range(2)]
    assert [answer.sequence for answer in refused] == [4, 5], "1 to 3 wait for the right camera"
    assert refused[0].reason == "overload"
    assert "wait for acknowledgements" in refused[0].detail


async def test_a_camera_that_comes_back_on_a_busy_machine_keeps_its_clock(start_center: Any) -> None:
    """Its Hello and its first frame are both more than a second late, as if its clock were that much behind: the
    picture was shown as one of another instant."""
    center = await start_center(links={"age_budget_ms": 0})
    pairs = center.broadcaster.watch()
    async with connect(f"127.0.0.1:{center.port}") as channel:
        left = Camera(channel, View.LEFT)
        await left.connect()
        await left.send(1, captured_at=time.time() - 5.0)
        await asyncio.wait_for(anext(pairs), 5)
        await left.leave()
        again = Camera(channel, View.LEFT, sent_at_ns=round((time.time() - 1.4) * 1e9))
        await again.connect()
        captured_at = time.time() - 1.2
        await again.send(2, captured_at=captured_at)
        shown = await asyncio.wait_for(anext(pairs), 5)
    assert shown.captured_at_ns * 1e-9 == pytest.approx(captured_at, abs=0.01)


async def test_a_sender_that_never_reads_is_not_read_for_ever(center: Any, camera: Any) -> None:
    left = camera(View.LEFT)
    await left.connect()
    wrong = types_pb2.ComplexArray(count=SYMBOLS, data=b"1", sample_type=types_pb2.SAMPLE_TYPE_F32)
    sent = 0

    async def flood() -> None:
        nonlocal sent
        while sent < 50_000:
            await left.send(sent + 1, symbols=wrong)
            sent += 1

    flooding = asyncio.create_task(flood())
    await eventually(lambda: not center.rigs.get("lab").connected(), 60.0)
    assert sent < 50_000, "the center has stopped reading"
    status, details = await left.status()
    assert (status, details) in (
        ("RESOURCE_EXHAUSTED", "256 answers are unread; read while you write"),
        ("INTERNAL", STATUS_LOST),  # where a write was under way
    )
    await asyncio.gather(flooding, return_exceptions=True)


async def test_a_sender_that_never_reads_does_not_keep_its_rig(start_center: Any) -> None:
    """With a window of 0 not even the Welcome goes out, and the handler of the stream waits with it for ever."""
    center = await start_center(links={"idle_s": 0.2, "evict_s": 0.2})
    hello = link_pb2.Hello(rig="lab", view=types_pb2.VIEW_LEFT, codec_hash=CODEC_HASH, boot_id=1)
    message = link_pb2.TransmitRequest(hello=hello).SerializeToString()
    no_window = struct.pack(">HI", 4, 0)  # SETTINGS_INITIAL_WINDOW_SIZE
    with socket.create_connection(("127.0.0.1", center.port)) as silent:
        silent.sendall(
            http2.PREFACE
            + http2.frame(http2.SETTINGS, payload=no_window)
            + http2.frame(http2.HEADERS, http2.END_HEADERS, 1, http2.call("/vergence.v1.SymbolLinkService/Transmit"))
            + http2.frame(http2.DATA, 0, 1, struct.pack(">BI", 0, len(message)) + message)
        )
        await eventually(lambda: center.rigs.get("lab") is not None)
        await eventually(lambda: not center._ingest._streams)
        await eventually(lambda: center.rigs.get("lab") is None)


async def test_a_busy_decoder_takes_the_newest_next(engine: Any, center: Any, camera: Any) -> None:
    engine.may.clear()
    left = camera(View.LEFT)
    await left.connect()
    for sequence in (1, 2, 3):
        await left.send(sequence)
    await eventually(lambda: newest(center) == [3])
    engine.may.set()
    answers = [await left.answer() for _ in range(3)]
    assert [(answer.sequence, answer.outcome) for answer in answers] == [(1, ACCEPTED), (2, DROPPED), (3, ACCEPTED)]
    assert "send fewer frames a second" in answers[1].detail


async def test_what_a_newer_frame_outdid_gives_its_credit_back_when_that_one_leaves(
    engine: Any, center: Any, camera: Any
) -> None:
    """Else a camera would encode at full speed what is then thrown away."""
    engine.may.clear()
    left = camera(View.LEFT)
    await left.connect()
    for sequence in (1, 2, 3):
        await left.send(sequence)
    assert (await left.answer()).sequence == 1
    await eventually(lambda: newest(center) == [3])
    answering = asyncio.create_task(left.answer())
    await asyncio.wait([answering], timeout=0.1)
    assert not answering.done()
    engine.may.set()
    assert (await answering).outcome == DROPPED


async def test_with_a_slow_decoder_pictures_stay_young(engine: Any, center: Any, camera: Any) -> None:
    """A camera of 100 frames a second that keeps its credit, and a decoder of 20. Age is counted in decodings, not in
    seconds, which a busy machine stretches: first come, first served would make it three."""
    engine.seconds = 0.05
    left = camera(View.LEFT)
    freed = asyncio.Semaphore((await left.connect()).credit)
    decoded_before: dict[int, int] = {}

    async def acknowledged() -> None:
        while True:
            await left.answer()
            freed.release()

    task = asyncio.create_task(acknowledged())
    for sequence in range(1, 61):
        await freed.acquire()
        decoded_before[sequence] = len(engine.batches)
        await left.send(sequence, channel_state=awgn(sequence / 10))  # its SNR tells it in the batch
        await asyncio.sleep(0.01)
    task.cancel()
    shown = [round(10 * float(batch.snr_db[0, 0])) for batch in engine.batches]
    assert len(shown) > 10
    assert max(number - decoded_before[sequence] for number, sequence in enumerate(shown)) <= 2


async def test_a_decoder_that_fails_once_does_not_end_the_stream(engine: Any, center: Any, camera: Any) -> None:
    left = camera(View.LEFT)
    await left.connect()
    engine.fails = True
    await left.send(1)
    await left.answer()
    await eventually(lambda: center.status()["live_rigs"][0]["drops"] == {"decoder": 1})
    engine.fails = False
    pairs = center.broadcaster.watch()
    await left.send(2)
    assert (await asyncio.wait_for(anext(pairs), 5)).views[0].sequence == 2
    assert (frames(center, "accepted"), frames(center, "failed")) == (1, 1), "each frame counts once"


async def test_a_pair_that_cannot_be_shown_does_not_hold_up_the_next(
    center: Any, camera: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    left = camera(View.LEFT)
    await left.connect()
    pairs = center.broadcaster.watch()
    publish, calls = center.broadcaster.publish, iter((1, 2))

    def fails_once(pair: Any) -> None:
        if next(calls) == 1:
            raise RuntimeError("on purpose")
        publish(pair)

    monkeypatch.setattr(center.broadcaster, "publish", fails_once)
    for sequence in (1, 2):
        await left.send(sequence)
        assert (await left.answer()).outcome == ACCEPTED
    assert (await asyncio.wait_for(anext(pairs), 5)).views[0].sequence == 2
    assert "rig lab: a decoded pair could not be shown" in caplog.text
    assert frames(center, "accepted") == 2


async def test_a_sender_that_half_closes_gets_all_its_answers(engine: Any, camera: Any) -> None:
    engine.seconds = 0.05
    left = camera(View.LEFT)
    await left.connect()
    for sequence in (1, 2, 3):
        await left.send(sequence)
    await left.call.done_writing()
    assert [(await left.answer()).sequence for _ in range(3)] == [1, 2, 3]
    assert (await left.status())[0] == "OK"


async def test_draining_tells_every_stream_and_decodes_what_is_here(engine: Any, center: Any, camera: Any) -> None:
    left, right = camera(View.LEFT), camera(View.RIGHT)
    await left.connect()
    await right.connect()
    pairs = center.broadcaster.watch()
    engine.seconds = 0.1
    await left.send(1)
    await eventually(lambda: center.rigs.get("lab").cameras[View.LEFT].captured_at > 0.0)
    stopping = asyncio.create_task(center.stop())
    while not (answer := await left.read()).HasField("drain"):
        pass  # there is no moment between two instants: it is asked a little later
    drain = answer.drain
    assert drain.reason == "the center is shutting down"
    assert drain.reconnect_after_ms > 0
    assert not await healthy(f"127.0.0.1:{center.port}", 1.0)
    late = camera(View.LEFT, rig="other")
    await late.call.write(link_pb2.TransmitRequest(hello=late.hello))
    assert (await late.status())[0] == "UNAVAILABLE"
    await asyncio.gather(left.leave(), right.leave())
    assert (await asyncio.wait_for(anext(pairs), 5)).views[0].sequence == 1
    await stopping
