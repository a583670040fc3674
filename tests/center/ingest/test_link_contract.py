"""What the center answers to streams and frames that break the contract, over real gRPC."""

import asyncio
import re
import time
from typing import Any

import numpy as np
import pytest

from tests.center.conftest import SYMBOL_ROW, Camera, awgn, exposition, wait_for_partners
from tests.waiting import eventually
from wire.contract.arrays import pack_complex
from wire.geometry import DEFAULT_SIZE, SYMBOLS, PictureSize
from wire.runtime.errors import UserError
from wire.runtime.grpc_kit import connect
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.v1 import types_pb2
from wire.views import View

ACCEPTED, DROPPED, REJECTED = link_pb2.OUTCOME_ACCEPTED, link_pb2.OUTCOME_DROPPED, link_pb2.OUTCOME_REJECTED

NAN = np.full(SYMBOLS, np.nan, np.complex64)
LOUD = np.full(SYMBOLS, 100.0, np.complex64)


@pytest.mark.parametrize(
    ("hello", "code", "line"),
    [
        (
            {"codec_hash": "feedfeedfeedfeed"},
            "FAILED_PRECONDITION",
            "'feedfeedfeedfeed', this center decodes 01234567",
        ),
        ({"view": 0}, "INVALID_ARGUMENT", "set VIEW_LEFT or VIEW_RIGHT"),
        ({"rig": "no spaces"}, "INVALID_ARGUMENT", "rig 'no spaces' is not a name"),
        ({"rig": ""}, "INVALID_ARGUMENT", "is not a name"),
        ({"frame_rate": 1e-3}, "INVALID_ARGUMENT", "frame_rate is 0.001; send 0.1 to 240, or 0 for unknown"),
        ({"frame_rate": 1e9}, "INVALID_ARGUMENT", "frame_rate is 1e+09; send"),
        ({"frame_rate": -1.0}, "INVALID_ARGUMENT", "frame_rate is -1; send"),
        ({"frame_rate": float("nan")}, "INVALID_ARGUMENT", "frame_rate is nan; send"),
        ({"height": 128}, "INVALID_ARGUMENT", "the size 128x0 (rows x columns) cannot be sent; take multiples of 16"),
        ({"height": 1024, "width": 2048}, "INVALID_ARGUMENT", "the size 1024x2048 (rows x columns) cannot be sent"),
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
    assert await left.status() == ("INVALID_ARGUMENT", "the first message must be a Hello; send one")


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
    assert "lab/left has a camera already" in details
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


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"symbols": pack_complex(NAN)}, "not_finite"),
        ({"symbols": pack_complex(LOUD)}, "power"),
        ({"symbols": pack_complex(0 * LOUD)}, "power"),
        ({"symbols": pack_complex(LOUD[:10])}, "shape"),
        ({"symbols": types_pb2.ComplexArray(count=SYMBOLS, data=b"1", sample_type=types_pb2.SAMPLE_TYPE_F32)}, "shape"),
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


async def test_a_stream_without_frames_is_closed(start_center: Any) -> None:
    center = await start_center(links={"idle_s": 0.1})
    async with connect(f"127.0.0.1:{center.port}") as channel:
        left = Camera(channel, View.LEFT)
        await left.connect()
        status, details = await left.status()
    assert status == "UNAVAILABLE"
    assert "connect again" in details


async def test_too_many_rigs_are_refused_until_one_is_forgotten(start_center: Any) -> None:
    center = await start_center(links={"evict_s": 0.1, "max_rigs": 1})
    async with connect(f"127.0.0.1:{center.port}") as channel:
        first, second = Camera(channel, View.LEFT, rig="one"), Camera(channel, View.LEFT, rig="two")
        await first.connect()
        await second.call.write(link_pb2.TransmitRequest(hello=second.hello))
        status, details = await second.status()
        assert status == "RESOURCE_EXHAUSTED"
        assert "raise links.max_rigs" in details
        await first.send(1)
        await first.answer()
        assert b'rig="one"' in await asyncio.to_thread(exposition, center)
        await first.leave()
        await asyncio.sleep(0.15)
        center.sweep()
        assert b'rig="one"' not in await asyncio.to_thread(exposition, center)
        assert center.broadcaster.rigs() == []
        await Camera(channel, View.LEFT, rig="two").connect()


async def test_a_frame_has_the_symbols_of_the_size_in_its_hello(center: Any, camera: Any) -> None:
    left = camera(View.LEFT, height=256, width=512)
    await left.connect()
    await left.send(1)
    answer = await left.answer()
    assert (answer.reason, answer.detail) == ("shape", "5120 symbols came; a picture of 256x512 has 20480")
    await left.send(2, symbols=pack_complex(np.ones(20480, np.complex64)))
    assert (await left.answer()).outcome == ACCEPTED
    short = types_pb2.ChannelState(snr_db=9.0, gain=pack_complex(np.ones(1, np.complex64)), coherence=SYMBOLS)
    await left.send(3, symbols=pack_complex(np.ones(20480, np.complex64)), channel_state=short)
    assert "1 channel gains came; 20480 symbols with coherence 5120 need 4" in (await left.answer()).detail


async def test_rigs_of_larger_pictures_take_more_of_the_room(start_center: Any) -> None:
    center = await start_center(links={"max_rigs": 6})
    async with connect(f"127.0.0.1:{center.port}") as channel:
        large = {"height": 256, "width": 512}
        for side in View:
            await Camera(channel, side, "first", **large).connect()
        await Camera(channel, View.LEFT, "second").connect()
        refused = Camera(channel, View.LEFT, "third", **large)
        await refused.call.write(link_pb2.TransmitRequest(hello=refused.hello))
        assert await refused.status() == (
            "RESOURCE_EXHAUSTED",
            "5 of 6 rigs are known, and one of 256x512 counts as 4; raise links.max_rigs or use another center",
        )
        await Camera(channel, View.LEFT, "third").connect()
        refused = Camera(channel, View.LEFT, "fourth")
        await refused.call.write(link_pb2.TransmitRequest(hello=refused.hello))
        assert "6 of 6 rigs are known, and one of 128x256 counts as 1" in (await refused.status())[1]


async def test_pictures_that_are_hardly_larger_take_no_more_of_the_room(start_center: Any) -> None:
    center = await start_center(links={"max_rigs": 2})
    async with connect(f"127.0.0.1:{center.port}") as channel:
        for name in ("first", "second"):
            for side in View:
                await Camera(channel, side, name, height=128, width=272).connect()


async def test_a_camera_that_comes_back_with_another_size_leaves_no_frame_behind(center: Any, camera: Any) -> None:
    """What waits for its partner is decoded alone: there can be none of its size any more."""
    wait_for_partners(center)
    left = camera(View.LEFT)
    await left.connect()
    right = camera(View.RIGHT)
    await right.connect()  # so that the left one's frames wait
    await left.send(1)
    await eventually(lambda: center.rigs.get("lab").pairer.deadline < float("inf"))
    await right.leave()
    again = camera(View.LEFT, boot_id=1, height=256, width=512)
    await again.connect()
    assert (await left.answer()).outcome == ACCEPTED
    assert str(center.rigs.get("lab").size) == "256x512"
    await again.send(2, symbols=pack_complex(np.ones(20480, np.complex64)))
    assert (await again.answer()).outcome == ACCEPTED


async def test_a_decoder_of_one_size_refuses_cameras_of_others(engine: Any, start_center: Any) -> None:
    """As one of version 0.1, whose graph is fixed."""
    decode = engine.decode

    def fixed(batch: Any) -> Any:
        if batch.size != DEFAULT_SIZE:
            raise UserError("the decoder of this codec knows pictures of 128x256 only")
        return decode(batch)

    engine.decode = fixed
    center = await start_center()
    async with connect(f"127.0.0.1:{center.port}") as channel:
        left = Camera(channel, View.LEFT, height=256, width=512)
        await left.call.write(link_pb2.TransmitRequest(hello=left.hello))
        assert await left.status() == (
            "FAILED_PRECONDITION",
            "the codec of this center knows pictures of 128x256 only, not of 256x512; export it anew, or set size of"
            " the edge to 128x256",
        )
        await Camera(channel, View.LEFT).connect()
    assert b'vergence_center_hellos_total{outcome="size"} 1.0' in exposition(center)


async def test_a_camera_that_fell_silent_does_not_keep_its_rig_at_a_size(start_center: Any) -> None:
    """Both cameras lost power, and come back with another size before anybody has noticed."""
    center = await start_center(pairing={"silence_ms": 30_000})
    async with connect(f"127.0.0.1:{center.port}") as channel:
        gone = [Camera(channel, side, frame_rate=30.0) for side in View]
        for camera in gone:
            await camera.connect()
        large: dict[str, Any] = {"height": 256, "width": 512, "boot_id": 2}
        early = Camera(channel, View.LEFT, **large)
        await early.call.write(link_pb2.TransmitRequest(hello=early.hello))
        assert (await early.status())[0] == "FAILED_PRECONDITION", "they live"
        center.clock._monotonic = lambda: time.monotonic() + 31.0
        for side in View:
            await Camera(channel, side, **large).connect()
        ended = [await camera.status() for camera in gone]
        assert ended[1] == (
            "ABORTED",
            "silent, and the other camera of rig lab has pictures of 256x512 now; connect again",
        )
        assert ended[0][0] == "ABORTED"
        assert str(center.rigs.get("lab").size) == "256x512"
        assert len(center.rigs.get("lab").connected()) == 2


async def test_a_hello_that_is_refused_itself_ends_no_other_stream(start_center: Any) -> None:
    """It ended the other view, which had just fallen silent, before its own view was found to be taken."""
    center = await start_center(pairing={"silence_ms": 30_000})
    async with connect(f"127.0.0.1:{center.port}") as channel:
        left, right = (Camera(channel, side, frame_rate=30.0) for side in View)
        await left.connect()
        await right.connect()
        center.clock._monotonic = lambda: time.monotonic() + 31.0
        await left.send(1)
        await left.answer()  # it lives
        third = Camera(channel, View.LEFT, boot_id=3, height=256, width=512)
        await third.call.write(link_pb2.TransmitRequest(hello=third.hello))
        code, line = await third.status()
        assert (code, "lab/left has a camera already" in line) == ("FAILED_PRECONDITION", True)
        assert len(center.rigs.get("lab").connected()) == 2
        await right.send(1)
        await right.answer()


async def test_a_stream_that_is_ended_from_here_is_no_failure(
    center: Any, camera: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever was reading it then was told so by an exception of gRPC, which counted as one of the center's own."""
    for boot_id in range(1, 6):
        left = camera(View.LEFT, boot_id=7)
        await left.connect()
        again = camera(View.LEFT, boot_id=7)
        await again.connect()
        assert (await left.status())[0] == "ABORTED", boot_id
    await asyncio.sleep(0.1)
    assert "reading from the" not in caplog.text


async def test_what_a_replaced_stream_still_sends_spoils_no_batch(center: Any, camera: Any) -> None:
    """A sender that reads nothing holds up the end of its stream, and the reader takes one frame more: of another size
    than the rig has by now, it made a pair that no batch can hold, and every rig in the batch lost its instant."""
    left = camera(View.LEFT)
    await left.connect()
    [replaced] = center._ingest.sessions()
    again, right = (camera(side, height=256, width=512) for side in View)
    await again.connect()
    await right.connect()
    pairs, at, size = center.broadcaster.watch(), time.time(), PictureSize(256, 512)
    late = link_pb2.SymbolFrame(sequence=1, captured_at_ns=round(at * 1e9), symbols=pack_complex(SYMBOL_ROW))
    center._ingest.receive(replaced, late, lambda *_: None)
    await right.send(1, captured_at=at, symbols=pack_complex(np.ones(size.symbols, np.complex64)))
    shown = await asyncio.wait_for(anext(pairs), 5)
    assert [(each.view, each.picture.shape) for each in shown.views] == [(View.RIGHT, (256, 512, 3))]
