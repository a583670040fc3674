"""Streams of cameras become pairs, over real gRPC."""

import asyncio
import re
import threading
import time
from typing import Any

import numpy as np
import pytest

from tests.center.conftest import awgn, wait_for_partners
from tests.waiting import eventually
from wire.contract.arrays import pack_complex
from wire.geometry import SYMBOLS
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.v1 import types_pb2
from wire.views import View

ACCEPTED, DROPPED, REJECTED = link_pb2.OUTCOME_ACCEPTED, link_pb2.OUTCOME_DROPPED, link_pb2.OUTCOME_REJECTED


async def test_two_cameras_make_a_pair(center: Any, camera: Any) -> None:
    wait_for_partners(center)
    left, right = camera(View.LEFT), camera(View.RIGHT)
    assert (await left.connect()).credit == 3
    await right.connect()
    pairs = center.broadcaster.watch("lab")
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
    wait_for_partners(center)
    left = camera(View.LEFT)
    await left.connect()
    pairs = center.broadcaster.watch()
    await left.send(1)
    pair = await asyncio.wait_for(anext(pairs), 5)
    assert pair.single
    assert [view.view for view in pair.views] == [View.LEFT]
    assert pair.views[0].stages["pair"] < 5.0, "it did not wait for patience"


async def test_a_frame_whose_partner_is_lost_is_shown_after_patience(center: Any, camera: Any) -> None:
    left, right = camera(View.LEFT), camera(View.RIGHT)
    await left.connect()
    await right.connect()
    pairs = center.broadcaster.watch()
    await left.send(1)
    pair = await asyncio.wait_for(anext(pairs), 5)
    assert pair.single
    assert 0.079 < pair.views[0].stages["pair"] < 5.0


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
    assert "raise pairing.patience_ms, set both clocks by NTP or PTP, or look at camera.delay_ms" in caplog.text


async def test_when_a_camera_leaves_the_other_one_goes_on(center: Any, camera: Any) -> None:
    left, right = camera(View.LEFT), camera(View.RIGHT)
    await left.connect()
    await right.connect()
    right.call.cancel()
    pairs = center.broadcaster.watch()
    for sequence in range(1, 4):
        await left.send(sequence)
        assert (await asyncio.wait_for(anext(pairs), 5)).single
    assert center.status()["live_rigs"][0]["connected"] == ["left"]


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
