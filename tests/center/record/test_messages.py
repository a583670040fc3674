"""From a live center into a recording and back, over real gRPC."""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import Message

from center.record import messages
from center.record.reader import Recording, files
from center.record.replay import Replay, read_reference
from deploy.bench.record import synthetic_batch
from tests.center.conftest import Camera, awgn, exposition
from tests.waiting import eventually
from wire.contract.arrays import pack_complex, pack_picture
from wire.geometry import SYMBOLS
from wire.runtime.errors import UserError
from wire.runtime.grpc_kit import connect
from wire.v1 import pair_service_pb2, recording_pb2, types_pb2
from wire.v1 import reference_service_pb2 as reference_pb2
from wire.v1 import reference_service_pb2_grpc as reference_grpc
from wire.views import View

REFERENCE = np.full((128, 256, 3), 204, np.uint8)
GAINS = np.full(SYMBOLS // 512, 0.6 + 0.8j, np.complex64)


async def drive(center: Any) -> None:
    """One pair with a reference of its left view, then one single."""
    async with connect(f"127.0.0.1:{center.port}") as channel:
        left, right = Camera(channel, View.LEFT), Camera(channel, View.RIGHT, boot_id=2)
        await left.connect()
        await right.connect()
        state = awgn(5.0)
        state.gain.CopyFrom(pack_complex(GAINS))
        state.coherence = 512
        with center.broadcaster.watch(late_figures=True) as pairs:
            at = time.time()
            await left.send(3, at, channel_state=state, referenced=True)
            await right.send(4, at, channel_state=awgn(8.0))
            await asyncio.wait_for(anext(pairs), 5)
            request = reference_pb2.SubmitReferenceRequest(
                rig="lab", view=types_pb2.VIEW_LEFT, boot_id=1, sequence=3, picture=pack_picture(REFERENCE)
            )
            await reference_grpc.ReferenceServiceStub(channel).SubmitReference(request)
            assert (await asyncio.wait_for(anext(pairs), 5)).measured
            await left.send(5)
            assert (await asyncio.wait_for(anext(pairs), 5)).single


def read(folder: Path) -> list[Message]:
    return [message for path in files(folder) for message in Recording(path).messages()]


async def test_what_a_center_decodes_is_recorded_with_all_that_it_needs(
    start_center: Any, engine: Any, tmp_path: Path
) -> None:
    center = await start_center(record={"folder": str(tmp_path), "flush_s": 0.02})
    await drive(center)
    await eventually(lambda: center.status()["recording"]["pairs"]["recorded"] == 2)
    assert b'vergence_center_recording_pairs_total{outcome="recorded"} 2.0' in exposition(center)
    await center.stop()
    session, pair, *rest = read(tmp_path)
    assert isinstance(session, recording_pb2.RecordingSession)
    assert (session.codec_hash, session.engine, session.threads) == (engine.codec_hash, "fake", 2)
    assert isinstance(pair, recording_pb2.RecordedPair)
    assert (pair.rig, pair.pairing, pair.batch_size) == ("lab", pair_service_pb2.PAIRING_PAIRED, 1)
    left, right = pair.frames
    assert (left.boot_id, left.received.sequence, right.boot_id, right.received.sequence) == (1, 3, 2, 4)
    assert left.received.channel_state.gain.data == GAINS.tobytes()
    assert right.received.channel_state.snr_db == 8.0
    figures = next(message for message in rest if isinstance(message, recording_pb2.RecordedFigures))
    assert (figures.rig, figures.view, figures.sequence) == ("lab", types_pb2.VIEW_LEFT, 3)
    assert figures.boot_id == left.boot_id
    np.testing.assert_array_equal(read_reference(figures.reference), REFERENCE)

    replay = Replay(lambda session: engine)
    list(replay.events(read(tmp_path)))
    assert (replay.tally.pairs, replay.tally.equal, replay.tally.different) == (2, 3, 0)
    assert replay.tally.psnr[0] == pytest.approx((figures.psnr_db, figures.psnr_db), abs=1e-4)


async def test_without_a_folder_nothing_is_recorded(center: Any) -> None:
    assert center.status()["recording"] == {"state": "off"}
    assert b"vergence_center_recording_active 0.0" in exposition(center)


async def test_a_missing_extra_is_one_line(start_center: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("center.record.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("center.record.messages", raising=False)
    monkeypatch.delattr("center.record.recorder", raising=False)
    monkeypatch.setitem(sys.modules, "mcap.writer", None)
    with pytest.raises(
        UserError, match=r"record\.folder is set, but mcap.* is not installed; in a checkout of vergence: pip"
    ):
        await start_center(record={"folder": str(tmp_path)})


@pytest.mark.parametrize("views", [[], ["right", "left"], ["left", "left"], ["left", "right", "left"], [None]])
def test_a_pair_with_other_views_is_no_pair(views: list[str | None]) -> None:
    numbers = [types_pb2.VIEW_UNSPECIFIED if view is None else View(view).to_proto() for view in views]
    pair = recording_pb2.RecordedPair(rig="lab", frames=[recording_pb2.RecordedFrame(view=n) for n in numbers])
    with pytest.raises(UserError, match="left, right, or left and right belong"):
        messages.to_job(pair)


def test_times_are_unix_times_though_the_centers_clock_is_not() -> None:
    """The host's clock was set forward by an hour after the start of the center."""
    jobs, decoded, began, ended = synthetic_batch(1, 1)
    pair = next(messages.DecodedBatch(1, jobs, decoded, began, ended, step=3600.0).records(False))
    assert pair.log_time == pytest.approx((ended + 3600.0) * 1e9, abs=1e3)
    assert pair.publish_time == pytest.approx((jobs[0].frames[0].captured_at + 3600.0) * 1e9, abs=1e3)
