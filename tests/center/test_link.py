"""Streams of cameras, over real gRPC."""

import asyncio
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from prometheus_client import generate_latest

from center import rigs
from tests.center.conftest import Camera
from wire.arrays import pack_complex
from wire.geometry import SYMBOLS
from wire.grpc_kit import STATUS_LOST, connect, healthy
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.v1 import types_pb2
from wire.views import View

ACCEPTED, DROPPED, REJECTED = link_pb2.OUTCOME_ACCEPTED, link_pb2.OUTCOME_DROPPED, link_pb2.OUTCOME_REJECTED


def awgn(snr_db: float) -> types_pb2.ChannelState:
    return types_pb2.ChannelState(snr_db=snr_db, noise_variance=10 ** (-snr_db / 10))


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 nobody tells
            await asyncio.sleep(0.005)


async def test_two_cameras_make_a_pair(center: Any, camera: Any) -> None:
    left, right = camera(View.LEFT), camera(View.RIGHT)
    assert (await left.connect()).credit == 3
    await right.connect()
    pairs = center.hub.watch("lab")
    now = time.time()
    stages = [
        link_pb2.StageTime(stage="encode", microseconds=7000),
        link_pb2.StageTime(stage="made-up", microseconds=1),
    ]
    await left.send(1, now - 0.05, channel_state=awgn(10.0), stages=stages)
    await right.send(1, now - 0.04)
    pair = await asyncio.wait_for(anext(pairs), 5)
    assert (pair.rig, pair.single, pair.captured_at_ns) == ("lab", False, pytest.approx((now - 0.05) * 1e9, rel=1e-12))
    assert [view.view for view in pair.views] == [View.LEFT, View.RIGHT]
    assert [view.snr_db for view in pair.views] == [10.0, float("inf")]
    assert [int(view.picture[0, 0, 0]) for view in pair.views] == [64, 255]
    assert pair.views[0].picture.shape == (128, 256, 3)
    assert list(pair.views[0].stages) == ["encode", "network", "pair", "batch", "decode"]
    assert sum(pair.views[0].stages.values()) == pytest.approx(pair.views[0].latency, abs=1e-3)
    assert (await left.answer()).outcome == (await right.answer()).outcome == ACCEPTED


async def test_what_is_equalised_reaches_the_decoder(engine: Any, center: Any, camera: Any) -> None:
    left = camera(View.LEFT)
    await left.connect()
    gain = np.full(SYMBOLS // 512, 2j, np.complex64)
    state = types_pb2.ChannelState(snr_db=0.0, noise_variance=1.0, gain=pack_complex(gain), coherence=512)
    await left.send(1, symbols=pack_complex(np.full(SYMBOLS, 2j, np.complex64)), channel_state=state)
    assert (await left.answer()).outcome == ACCEPTED
    await eventually(lambda: bool(engine.batches))
    batch = engine.batches[-1]
    assert np.allclose(batch.symbols[0, 0], [0.8, 0.0])
    assert np.allclose(batch.reliability[0, 0], 0.8)
    assert batch.snr_db.tolist() == [[0.0, float("-inf")]]
    assert not batch.symbols[0, 1].any()
    assert not batch.reliability[0, 1].any()


async def test_alone_a_camera_is_decoded_at_once(center: Any, camera: Any) -> None:
    left = camera(View.LEFT)
    await left.connect()
    pairs = center.hub.watch()
    await left.send(1)
    pair = await asyncio.wait_for(anext(pairs), 5)
    assert pair.single
    assert [view.view for view in pair.views] == [View.LEFT]
    assert pair.views[0].stages["pair"] < 0.02, "it did not wait for patience"


async def test_a_frame_whose_partner_is_lost_is_shown_after_patience(center: Any, camera: Any) -> None:
    left, right = camera(View.LEFT), camera(View.RIGHT)
    await left.connect()
    await right.connect()
    pairs = center.hub.watch()
    await left.send(1)
    pair = await asyncio.wait_for(anext(pairs), 5)
    assert pair.single
    assert pair.views[0].stages["pair"] == pytest.approx(0.080, abs=0.030)


async def test_cameras_too_far_apart_to_pair_are_told_why(
    center: Any, camera: Any, caplog: pytest.LogCaptureFixture
) -> None:
    left, right = camera(View.LEFT), camera(View.RIGHT)
    await left.connect()
    await right.connect()
    now = time.time()
    await right.send(1, now)
    assert (await right.answer()).outcome == ACCEPTED, "after patience"
    await left.send(1, now - 0.3)
    answer = await left.answer()
    assert (answer.outcome, answer.reason) == (DROPPED, "late")
    longer = re.search(r"left frames take (\S+) s longer", answer.detail)
    assert longer is not None
    assert float(longer[1]) >= 0.3
    assert "raise pairing.patience_ms, or set both clocks by NTP or PTP" in caplog.text


async def test_when_a_camera_leaves_the_other_one_goes_on(center: Any, camera: Any) -> None:
    left, right = camera(View.LEFT), camera(View.RIGHT)
    await left.connect()
    await right.connect()
    right.call.cancel()
    pairs = center.hub.watch()
    for sequence in range(1, 4):
        await left.send(sequence)
        assert (await asyncio.wait_for(anext(pairs), 5)).single
    assert center.status()["live_rigs"][0]["connected"] == ["left"]


@pytest.mark.parametrize(
    ("hello", "code", "line"),
    [
        ({"codec_hash": "feedfeedfeedfeed"}, "FAILED_PRECONDITION", "feedfeedfeedfeed, this center decodes 0123456789"),
        ({"view": 0}, "INVALID_ARGUMENT", "set VIEW_LEFT or VIEW_RIGHT"),
        ({"rig": "no spaces"}, "INVALID_ARGUMENT", "rig 'no spaces' is not a name"),
        ({"rig": ""}, "INVALID_ARGUMENT", "is not a name"),
        ({"frame_rate": 1e-3}, "INVALID_ARGUMENT", "frame_rate is 0.001; send 0.1 to 240, or 0 for unknown"),
        ({"frame_rate": 1e9}, "INVALID_ARGUMENT", "frame_rate is 1e+09; send"),
        ({"frame_rate": -1.0}, "INVALID_ARGUMENT", "frame_rate is -1; send"),
        ({"frame_rate": float("nan")}, "INVALID_ARGUMENT", "frame_rate is nan; send"),
    ],
)
async def test_a_wrong_hello_ends_the_stream_with_its_mend(camera: Any, hello: Any, code: str, line: str) -> None:
    left = camera(View.LEFT, **hello)
    await left.call.write(link_pb2.TransmitRequest(hello=left.hello))
    status, details = await left.status()
    assert status == code
    assert line in details


async def test_a_stream_that_does_not_begin_with_a_hello_is_ended(camera: Any) -> None:
    left = camera(View.LEFT)
    await left.send(1)
    assert await left.status() == ("INVALID_ARGUMENT", "the first message must be a Hello")


async def test_a_second_hello_ends_the_stream(camera: Any) -> None:
    left = camera(View.LEFT)
    await left.connect()
    await left.call.write(link_pb2.TransmitRequest(hello=left.hello))
    assert (await left.status())[0] == "INVALID_ARGUMENT"


async def test_a_second_left_camera_is_refused_and_the_first_goes_on(camera: Any) -> None:
    first, second = camera(View.LEFT, boot_id=1), camera(View.LEFT, boot_id=2)
    await first.connect()
    await second.call.write(link_pb2.TransmitRequest(hello=second.hello))
    status, details = await second.status()
    assert status == "FAILED_PRECONDITION"
    assert "rig 'lab' has a left camera already" in details
    await first.send(1)
    assert (await first.answer()).outcome == ACCEPTED


async def test_the_same_camera_may_come_again_and_its_old_stream_ends(center: Any, camera: Any) -> None:
    first, again = camera(View.LEFT), camera(View.LEFT)
    await first.connect()
    await first.send(7)
    await first.answer()
    await again.connect()
    assert (await first.status())[0] == "ABORTED"
    await again.send(7)
    assert (await again.answer()).reason == "sequence"
    await again.send(8)
    assert (await again.answer()).outcome == ACCEPTED
    assert center.status()["live_rigs"][0]["connected"] == ["left"]


async def test_a_camera_that_lost_power_does_not_keep_its_view(start_center: Any) -> None:
    center = await start_center(pairing={"silence_ms": 250})
    async with connect(f"127.0.0.1:{center.port}") as channel:
        dead, again = Camera(channel, View.LEFT, boot_id=1), Camera(channel, View.LEFT, boot_id=2)
        await dead.connect()
        await dead.send(900)
        await dead.answer()
        heard_at = center.rigs.get("lab").cameras[View.LEFT].heard_at
        await eventually(lambda: time.time() - heard_at > 0.25)
        await again.connect()
        status, details = await dead.status()
        assert status == "ABORTED"
        assert re.fullmatch(r"silent for \d\.\d s, so another camera took lab/left; connect again", details)
        await again.send(1)
        assert (await again.answer()).outcome == ACCEPTED


def test_a_camera_of_few_frames_is_not_taken_for_silent() -> None:
    slow = rigs.Camera(frame_rate=0.5, heard_at=10.0)
    assert not slow.has_fallen_silent(13.9, silence=1.0)
    assert slow.has_fallen_silent(14.0, silence=1.0)
    assert not rigs.Camera(heard_at=10.0).has_fallen_silent(10.1, silence=0.0), "two that live do not fight"


async def test_after_a_restart_sequences_count_anew(camera: Any) -> None:
    first = camera(View.LEFT, boot_id=1)
    await first.connect()
    await first.send(900)
    assert (await first.answer()).outcome == ACCEPTED
    await first.leave()
    restarted = camera(View.LEFT, boot_id=2)
    await restarted.connect()
    await restarted.send(1)
    assert (await restarted.answer()).outcome == ACCEPTED


NAN = np.full(SYMBOLS, np.nan, np.complex64)
LOUD = np.full(SYMBOLS, 100.0, np.complex64)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"symbols": pack_complex(NAN)}, "not_finite"),
        ({"symbols": pack_complex(LOUD)}, "power"),
        ({"symbols": pack_complex(0 * LOUD)}, "power"),
        ({"symbols": pack_complex(LOUD[:10])}, "shape"),
        ({"symbols": types_pb2.ComplexArray(count=SYMBOLS, data=b"1", sample_type=1)}, "shape"),
        ({"symbols": types_pb2.ComplexArray(count=SYMBOLS, data=b"1")}, "type"),
        ({"sequence": 0}, "sequence"),
        ({"captured_at_ns": 0}, "type"),
        ({"channel_state": types_pb2.ChannelState(snr_db=float("nan"))}, "not_finite"),
        ({"channel_state": types_pb2.ChannelState(snr_db=float("-inf"))}, "not_finite"),
        ({"channel_state": types_pb2.ChannelState(snr_db=-1e30)}, "not_finite"),
        ({"channel_state": types_pb2.ChannelState(noise_variance=-1.0)}, "not_finite"),
        ({"channel_state": types_pb2.ChannelState(gain=pack_complex(NAN), coherence=1)}, "not_finite"),
        ({"channel_state": types_pb2.ChannelState(gain=pack_complex(LOUD[:7]), coherence=1)}, "shape"),
    ],
)
async def test_a_wrong_frame_is_answered_and_the_stream_lives(camera: Any, fields: Any, reason: str) -> None:
    left = camera(View.LEFT)
    await left.connect()
    await left.send(**{"sequence": 1} | fields)
    answer = await left.answer()
    assert (answer.outcome, answer.reason) == (REJECTED, reason)
    assert answer.detail
    await left.send(2)
    assert (await left.answer()).outcome == ACCEPTED


async def test_noise_and_fades_are_no_reason_to_refuse(camera: Any) -> None:
    left = camera(View.LEFT)
    await left.connect()
    rng = np.random.default_rng(0)
    noise = (rng.standard_normal(SYMBOLS) + 1j * rng.standard_normal(SYMBOLS)).astype(np.complex64)
    await left.send(1, symbols=pack_complex(noise * 3), channel_state=awgn(-10.0))
    assert (await left.answer()).outcome == ACCEPTED
    deep = types_pb2.ChannelState(snr_db=20.0, gain=pack_complex(np.full(1, 0.02, np.complex64)), coherence=SYMBOLS)
    await left.send(2, symbols=pack_complex(noise * 0.1), channel_state=deep)
    assert (await left.answer()).outcome == ACCEPTED


async def test_a_frame_beyond_its_age_budget_is_not_decoded(engine: Any, camera: Any) -> None:
    left = camera(View.LEFT)
    await left.connect()
    await left.send(1, time.time() - 0.5, age_budget_ms=100)
    answer = await left.answer()
    assert (answer.outcome, answer.reason) == (DROPPED, "late")
    assert "0.50 s after its capture; 0.10 s are allowed" in answer.detail
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


async def test_frames_without_credit_are_dropped_at_the_door(camera: Any) -> None:
    left, right = camera(View.LEFT), camera(View.RIGHT)
    await left.connect()
    await right.connect()
    for sequence in range(1, 6):
        await left.send(sequence)
    refused = [await left.answer() for _ in range(2)]
    assert [answer.sequence for answer in refused] == [4, 5], "1 to 3 wait for the right camera"
    assert refused[0].reason == "overload"
    assert "wait for acknowledgements" in refused[0].detail


async def test_a_sender_that_never_reads_is_not_read_for_ever(camera: Any) -> None:
    left = camera(View.LEFT)
    await left.connect()
    wrong = types_pb2.ComplexArray(count=SYMBOLS, data=b"1", sample_type=1)
    sent = 0

    async def flood() -> None:
        nonlocal sent
        while sent < 50_000:
            await left.send(sent + 1, symbols=wrong)
            sent += 1

    flooding = asyncio.create_task(flood())
    before = -1
    while sent != before:
        before = sent
        await asyncio.sleep(0.5)
    assert sent < 50_000, "the center has stopped reading"
    status, details = await left.status()
    assert (status, details) in (
        ("RESOURCE_EXHAUSTED", "256 answers are unread; read while you write"),
        ("INTERNAL", STATUS_LOST),  # where a write was under way
    )
    await asyncio.gather(flooding, return_exceptions=True)


async def test_a_busy_decoder_takes_the_newest_next(engine: Any, camera: Any) -> None:
    engine.seconds = 0.1
    left = camera(View.LEFT)
    await left.connect()
    for sequence in (1, 2, 3):
        await left.send(sequence)
    answers = [await left.answer() for _ in range(3)]
    assert [(answer.sequence, answer.outcome) for answer in answers] == [(1, ACCEPTED), (2, DROPPED), (3, ACCEPTED)]
    assert "send fewer frames a second" in answers[1].detail


async def test_what_a_newer_frame_outdid_gives_its_credit_back_when_that_one_leaves(engine: Any, camera: Any) -> None:
    """Else a camera would encode at full speed what is then thrown away."""
    engine.seconds = 0.2
    left = camera(View.LEFT)
    await left.connect()
    for sequence in (1, 2, 3):
        await left.send(sequence)
    assert (await left.answer()).sequence == 1
    began = time.monotonic()
    assert (await left.answer()).outcome == DROPPED
    assert time.monotonic() - began > 0.1


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


async def test_pairs_of_several_rigs_share_a_batch(engine: Any, center: Any, camera: Any) -> None:
    decode, go_on = engine.decode, threading.Event()
    engine.decode = lambda batch: go_on.wait(5) and decode(batch)
    cameras = [camera(View.LEFT, rig=f"rig-{i}") for i in range(4)]
    for each in cameras:
        await each.connect()
    await cameras[0].send(1)
    assert (await cameras[0].answer()).outcome == ACCEPTED
    for each in cameras[1:]:
        await each.send(1)
    await eventually(lambda: center.status()["queue"] == 3)
    go_on.set()
    await eventually(lambda: len(engine.batches) == 2)
    assert [len(batch) for batch in engine.batches] == [1, 3]


async def test_a_decoder_that_fails_once_does_not_end_the_stream(engine: Any, center: Any, camera: Any) -> None:
    left = camera(View.LEFT)
    await left.connect()
    engine.fails = True
    await left.send(1)
    await left.answer()
    await eventually(lambda: center.status()["live_rigs"][0]["drops"] == {"decoder": 1})
    engine.fails = False
    pairs = center.hub.watch()
    await left.send(2)
    assert (await asyncio.wait_for(anext(pairs), 5)).views[0].sequence == 2
    assert (frames(center, "accepted"), frames(center, "failed")) == (1, 1), "each frame counts once"


async def test_a_pair_that_cannot_be_shown_does_not_hold_up_the_next(
    center: Any, camera: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    left = camera(View.LEFT)
    await left.connect()
    pairs = center.hub.watch()
    publish, calls = center.hub.publish, iter((1, 2))

    def fails_once(pair: Any) -> None:
        if next(calls) == 1:
            raise RuntimeError("on purpose")
        publish(pair)

    monkeypatch.setattr(center.hub, "publish", fails_once)
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
    pairs = center.hub.watch()
    engine.seconds = 0.1
    await left.send(1)
    await asyncio.sleep(0.03)
    stopping = asyncio.create_task(center.stop())
    drain = (await left.read()).drain
    assert drain.reason == "the center is shutting down"
    assert drain.reconnect_after_ms > 0
    assert not await healthy(f"127.0.0.1:{center.port}", 1.0)
    late = camera(View.LEFT, rig="other")
    await late.call.write(link_pb2.TransmitRequest(hello=late.hello))
    assert (await late.status())[0] == "UNAVAILABLE"
    await asyncio.gather(left.leave(), right.leave())
    assert (await asyncio.wait_for(anext(pairs), 5)).views[0].sequence == 1
    await stopping


class TestImpatience:
    """A center that waits for nothing long."""

    @pytest.fixture
    async def center(self, start_center: Any) -> Any:
        return await start_center(links={"idle_s": 0.1, "evict_s": 0.1, "max_rigs": 1})

    async def test_a_stream_without_frames_is_closed(self, camera: Any) -> None:
        left = camera(View.LEFT)
        await left.connect()
        status, details = await left.status()
        assert status == "UNAVAILABLE"
        assert "connect again" in details

    async def test_too_many_rigs_are_refused_until_one_is_forgotten(self, center: Any, camera: Any) -> None:
        first, second = camera(View.LEFT, rig="one"), camera(View.LEFT, rig="two")
        await first.connect()
        await second.call.write(link_pb2.TransmitRequest(hello=second.hello))
        status, details = await second.status()
        assert status == "RESOURCE_EXHAUSTED"
        assert "raise links.max_rigs" in details
        await first.send(1)
        await first.leave()
        assert b'rig="one"' in await asyncio.to_thread(exposition, center)
        await asyncio.sleep(0.15)
        center.sweep()
        assert b'rig="one"' not in await asyncio.to_thread(exposition, center)
        assert center.hub.rigs() == []
        await camera(View.LEFT, rig="two").connect()


def frames(center: Any, outcome: str) -> float:
    labels = {"rig": "lab", "view": "left", "outcome": outcome}
    return center.metrics.registry.get_sample_value("vergence_center_frames_total", labels) or 0.0


def exposition(center: Any) -> bytes:
    return generate_latest(center.metrics.registry)
