import asyncio
import math
import time
from typing import Any

import numpy as np
import pytest

from center.ingest.agreement import CameraFacts, disagreements
from center.ingest.camera import Session
from center.ingest.camera_clock import CameraClock
from center.ingest.rigs import Rigs
from tests.waiting import eventually
from wire.views import View


def facts(frame_rate: float = 10.0, loop_s: float = 0.0, way: float = 0.01) -> CameraFacts:
    return CameraFacts(frame_rate, loop_s, way)


def test_cameras_that_are_alike_agree() -> None:
    assert disagreements(facts(), facts(9.99, way=0.05), tolerance=0.05) == {}
    assert disagreements(facts(0.0), facts(), 0.05) == {}, "a rate that is not told is not judged"
    assert disagreements(facts(way=math.nan), facts(), 0.05) == {}


@pytest.mark.parametrize(
    ("left", "right", "reason"),
    [
        (facts(6.0), facts(9.0), "rate"),
        (facts(loop_s=2.1), facts(loop_s=2.0), "loop"),
        (facts(loop_s=2.1), facts(), "loop"),
        (facts(way=0.08), facts(way=0.01), "clock"),
        (facts(way=-0.08), facts(way=0.01), "clock"),
    ],
)
def test_cameras_that_cannot_pair_are_told_apart(left: CameraFacts, right: CameraFacts, reason: str) -> None:
    for found in (disagreements(left, right, 0.033), disagreements(right, left, 0.033)):
        assert list(found) == [reason]


async def test_a_rig_whose_clips_differ_in_length_is_told_of_once_and_shown(
    center: Any, camera: Any, caplog: pytest.LogCaptureFixture
) -> None:
    left, right = camera(View.LEFT, loop_ms=2100), camera(View.RIGHT, loop_ms=2000)
    await left.connect()
    await right.connect()
    labels = {"rig": "lab", "reason": "loop"}
    value = center.metrics.registry.get_sample_value
    for _ in range(3):
        center.sweep()
    assert value("vergence_center_disagreement", labels) == 1.0
    told = [message for message in caplog.messages if "the left clip starts over after 2.1 s" in message]
    assert len(told) == 1
    assert center.status()["live_rigs"][0]["disagree"] == ["loop"]
    again = camera(View.LEFT, boot_id=1, loop_ms=2000)
    await again.connect()
    await eventually(lambda: center.rigs.get("lab").cameras[View.LEFT].loop_s == 2.0)
    center.sweep()
    assert value("vergence_center_disagreement", labels) == 0.0


async def test_a_clock_that_is_one_frame_off_is_told_of(
    center: Any, camera: Any, caplog: pytest.LogCaptureFixture
) -> None:
    left, right = camera(View.LEFT, frame_rate=15.0), camera(View.RIGHT, frame_rate=15.0)
    await left.connect()
    await right.connect()
    for sequence in range(1, 8):
        await asyncio.sleep(0.2)
        await left.send(sequence, captured_at=time.time() - 0.07)
        await left.answer()
        await right.send(sequence, captured_at=time.time())
        await right.answer()
    center.sweep()
    assert any("differ by" in message and "set both clocks by NTP or PTP" in message for message in caplog.messages)


def test_a_clock_one_frame_period_off_is_found_from_its_frames(caplog: pytest.LogCaptureFixture) -> None:
    """15 frames a second, the left clock 70 ms behind: every left frame pairs with the right one before it."""
    rig = Rigs(None, 0.08, 1.0, 4).admit("lab")
    sessions = {
        view: Session(rig, view, 1, CameraClock(0.0, 1 / 15), lambda _: None, lambda *_: None, newest=0)
        for view in View
    }
    for session in sessions.values():
        rig.connect(session, 15.0, 0.0)
    rng = np.random.default_rng(0)
    for i in range(200):
        at = i / 15
        sessions[View.LEFT].clock.correct(at - 0.07, at + 0.02 + rng.exponential(0.01))
        sessions[View.RIGHT].clock.correct(at, at + 0.02 + rng.exponential(0.01))
    assert rig.check_agreement()["clock"]
    assert "differ by 70 ms, more than the 33 ms within which frames are paired" in caplog.text


def test_clocks_an_hour_apart_that_are_seen_through_are_no_reason() -> None:
    rig = Rigs(None, 0.08, 1.0, 4).admit("lab")
    for view, off in ((View.LEFT, 3600.0), (View.RIGHT, 0.0)):
        clock = CameraClock(-off, 1 / 15)
        rig.connect(Session(rig, view, 1, clock, lambda _: None, lambda *_: None), 15.0, 0.0)
        for i in range(200):
            clock.correct(i / 15 + off, i / 15 + 0.02)
    assert not rig.check_agreement()["clock"]
