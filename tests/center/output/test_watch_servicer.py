"""Pictures out, references in, over real gRPC."""

import asyncio
import io
import itertools
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest
from grpc import aio
from PIL import Image
from prometheus_client import generate_latest

from center.output.broadcast import PairBroadcaster
from center.output.results import DecodedPair, ViewResult
from center.output.watch_servicer import MOST_WATCHERS, PairServicer
from tests.center.conftest import wait_for_partners
from tests.waiting import eventually
from wire.contract.arrays import pack_complex, pack_picture, unpack_picture
from wire.geometry import PictureSize
from wire.security import caller
from wire.security.caller import Caller
from wire.security.tokens import Principal, Role
from wire.v1 import pair_service_pb2 as pair_pb2
from wire.v1 import pair_service_pb2_grpc as pair_grpc
from wire.v1 import reference_service_pb2 as reference_pb2
from wire.v1 import reference_service_pb2_grpc as reference_grpc
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.v1 import types_pb2
from wire.views import View

REFERENCE = np.full((128, 256, 3), 204, np.uint8)
"""The fake decoder shows 255 on a noiseless link: an error of 0.2, so 13.98 dB."""


def watch(channel: aio.Channel, **request: Any) -> Any:
    return pair_grpc.PairServiceStub(channel).WatchPairs(pair_pb2.WatchPairsRequest(**request))


async def first(call: Any) -> Any:
    return await asyncio.wait_for(call.read(), 20)


async def watching(center: Any, count: int = 1) -> None:
    """Wait until the center knows its watchers."""
    await eventually(lambda: len(center.broadcaster._watchers) >= count)


async def make_room(center: Any, channel: aio.Channel, calls: list[Any]) -> None:
    """Watchers leave, and another one is taken."""
    for call in calls:
        call.cancel()
    await eventually(lambda: not center.broadcaster._watchers)
    again = watch(channel)
    await watching(center)
    again.cancel()


def reference(sequence: int = 1, **fields: Any) -> reference_pb2.SubmitReferenceRequest:
    defaults = {
        "rig": "lab",
        "view": types_pb2.VIEW_LEFT,
        "boot_id": 1,
        "sequence": sequence,
        "picture": pack_picture(REFERENCE),
    }
    return reference_pb2.SubmitReferenceRequest(**{**defaults, **fields})


async def test_pairs_come_to_whoever_watches(center: Any, channel: aio.Channel, camera: Any) -> None:
    wait_for_partners(center)
    call = watch(channel, rig="lab")
    await watching(center)
    left, right = camera(View.LEFT), camera(View.RIGHT)
    await left.connect()
    await right.connect()
    await left.send(3)
    await right.send(4)
    response = await first(call)
    assert (response.rig, response.pairing) == ("lab", pair_pb2.PAIRING_PAIRED)
    assert response.decoded_at_ns > response.captured_at_ns
    assert [(view.view, view.sequence) for view in response.views] == [(1, 3), (2, 4)]
    assert response.views[0].snr_db == float("inf")
    assert response.views[0].latency_ms > 0
    assert not response.views[0].HasField("psnr_db")
    assert np.all(unpack_picture(response.views[0].picture) == 255)
    call.cancel()


@pytest.mark.parametrize(("kind", "name"), [("PICTURE_FORMAT_PNG", "PNG"), ("PICTURE_FORMAT_JPEG", "JPEG")])
async def test_pictures_come_as_files(center: Any, channel: aio.Channel, camera: Any, kind: str, name: str) -> None:
    call = watch(channel, format=kind)
    await watching(center)
    left = camera(View.LEFT)
    await left.connect()
    await left.send(1)
    picture = (await first(call)).views[0].picture
    assert (picture.height, picture.width) == (128, 256)
    with Image.open(io.BytesIO(picture.data)) as image:
        assert (image.format, image.size) == (name, (256, 128))
    call.cancel()


async def test_figures_come_without_pictures(center: Any, channel: aio.Channel, camera: Any) -> None:
    call = watch(channel, without_pictures=True)
    await watching(center)
    left = camera(View.LEFT)
    await left.connect()
    await left.send(1)
    assert not (await first(call)).views[0].HasField("picture")
    call.cancel()


async def test_a_watcher_gets_no_more_than_it_asked_for_and_the_newest() -> None:
    broadcaster, pauses = PairBroadcaster(), list[float]()

    def publish(sequence: int) -> None:
        view = ViewResult(View.LEFT, sequence, 5.0, REFERENCE, 0.05, {})
        broadcaster.publish(DecodedPair("lab", sequence, sequence, True, (view,)))

    async def pause(seconds: float) -> None:
        """In which nine more are decoded, and the third time it ends."""
        pauses.append(seconds)
        if len(pauses) == 3:
            broadcaster.close()
            return
        for _ in range(9):
            publish(next(sequences))

    sequences = itertools.count(1)

    class Context:
        async def write(self, response: pair_pb2.WatchPairsResponse) -> None:
            shown.append(response.views[0].sequence)

    request, shown = pair_pb2.WatchPairsRequest(rate=5.0, without_pictures=True), list[int]()
    watching = asyncio.create_task(PairServicer(broadcaster, pause=pause).WatchPairs(request, Context()))
    await eventually(lambda: len(broadcaster._watchers) == 1)
    publish(next(sequences))
    await watching
    assert shown == [1, 10, 19]
    assert pauses == [0.2] * 3, "one after each"


@pytest.mark.parametrize("request_", [{"rate": -1.0}, {"rate": float("nan")}, {"format": 77}])
async def test_a_request_that_makes_no_sense_is_told(channel: aio.Channel, request_: Any) -> None:
    call = watch(channel, **request_)
    with pytest.raises(aio.AioRpcError) as caught:
        await first(call)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_watching_ends_when_the_center_goes(center: Any, channel: aio.Channel) -> None:
    call = watch(channel)
    await watching(center)
    await center.stop()
    assert await first(call) is aio.EOF


@pytest.mark.parametrize("reference_first", [True, False])
async def test_a_referenced_frame_is_measured(
    center: Any, channel: aio.Channel, camera: Any, reference_first: bool
) -> None:
    stub = reference_grpc.ReferenceServiceStub(channel)
    left = camera(View.LEFT)
    await left.connect()
    pairs = center.broadcaster.watch()
    if reference_first:
        await stub.SubmitReference(reference())
    await left.send(1, referenced=True)
    plain = await asyncio.wait_for(anext(pairs), 20)
    assert plain.views[0].psnr_db is None
    if not reference_first:
        await stub.SubmitReference(reference())
    measured = await asyncio.wait_for(anext(pairs), 20)
    assert measured.decoded_at_ns == plain.decoded_at_ns
    assert measured.views[0].psnr_db == pytest.approx(13.98, abs=0.01)
    assert 0.9 < measured.views[0].ms_ssim <= 1.0
    assert np.array_equal(measured.views[0].reference, REFERENCE)
    text = generate_latest(center.metrics.registry).decode()
    assert 'vergence_center_psnr_decibels_count{rig="lab",view="left"} 1.0' in text
    assert 'vergence_center_references_total{outcome="measured"} 1.0' in text


async def test_a_reference_of_another_boot_is_not_mistaken(center: Any, channel: aio.Channel, camera: Any) -> None:
    """The frame that follows with the right one is measured, and nothing before it."""
    stub = reference_grpc.ReferenceServiceStub(channel)
    left = camera(View.LEFT)
    await left.connect()
    pairs = center.broadcaster.watch(late_figures=True)
    await stub.SubmitReference(reference(1, boot_id=2))
    await stub.SubmitReference(reference(2))
    for sequence in (1, 2):
        await left.send(sequence, referenced=True)
        await left.answer()
    seen: list[DecodedPair] = []
    while not (seen and seen[-1].measured):
        seen.append(await asyncio.wait_for(anext(pairs), 20))
    assert [(each.views[0].sequence, each.measured) for each in seen][-1] == (2, True)


async def test_a_reference_of_a_camera_that_is_not_connected_is_refused(
    center: Any, channel: aio.Channel, camera: Any
) -> None:
    await camera(View.LEFT).connect()
    stub = reference_grpc.ReferenceServiceStub(channel)
    await stub.SubmitReference(reference())
    for fields, line in (
        ({"rig": "nobody"}, "rig 'nobody' has no left camera here; send references while its stream is open"),
        ({"view": types_pb2.VIEW_RIGHT}, "rig 'lab' has no right camera here"),
    ):
        with pytest.raises(aio.AioRpcError) as refused:
            await stub.SubmitReference(reference(**fields))
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
        assert line in str(refused.value.details())
    received = center.metrics.registry.get_sample_value("vergence_center_references_total", {"outcome": "received"})
    assert received == 1.0


async def test_one_token_leaves_half_of_the_places_to_others(
    center: Any, channel: aio.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = Caller(Principal("anna", Role.VIEWER), lambda _: None)
    monkeypatch.setattr(caller, "CALLER", SimpleNamespace(get=lambda _: anna))
    calls = [watch(channel) for _ in range(MOST_WATCHERS // 2)]
    await watching(center, MOST_WATCHERS // 2)
    with pytest.raises(aio.AioRpcError) as refused:
        await first(watch(channel))
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refused.value.details() == "'anna' has 64 such calls already; end one of them"
    await make_room(center, channel, calls)


async def test_watchers_are_bounded_and_one_that_leaves_makes_room(center: Any, channel: aio.Channel) -> None:
    calls = [watch(channel) for _ in range(MOST_WATCHERS)]
    await watching(center, MOST_WATCHERS)
    with pytest.raises(aio.AioRpcError) as refused:
        await first(watch(channel))
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert f"{MOST_WATCHERS} clients watch pairs already" in str(refused.value.details())
    await make_room(center, channel, calls)


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        (
            {"picture": types_pb2.Picture(format=types_pb2.PICTURE_FORMAT_PNG, height=128, width=256, data=b"x")},
            "send RGB8",
        ),
        ({"picture": pack_picture(REFERENCE[:64])}, "64x256"),
        ({"view": 0}, "set VIEW_LEFT or VIEW_RIGHT"),
    ],
)
async def test_a_wrong_reference_is_refused(channel: aio.Channel, fields: Any, line: str) -> None:
    with pytest.raises(aio.AioRpcError) as caught:
        await reference_grpc.ReferenceServiceStub(channel).SubmitReference(reference(**fields))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert line in str(caught.value.details())


async def test_a_measurement_that_fails_ends_nothing_else(
    center: Any, channel: aio.Channel, camera: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr("center.output.quality_monitor.measure", fail)
    left = camera(View.LEFT)
    await left.connect()
    await reference_grpc.ReferenceServiceStub(channel).SubmitReference(reference(1))
    await left.send(1, referenced=True)
    registry, labels = center.metrics.registry, {"outcome": "failed"}
    await eventually(lambda: bool(registry.get_sample_value("vergence_center_references_total", labels)))
    assert "a measurement failed" in caplog.text
    await left.send(2)
    assert (await left.answer()).sequence == 1
    assert (await left.answer()).outcome == link_pb2.OUTCOME_ACCEPTED


async def test_a_reference_of_a_rig_without_a_name_is_refused(channel: aio.Channel) -> None:
    stub = reference_grpc.ReferenceServiceStub(channel)
    for rig in ("", "x" * 64, "no spaces"):
        with pytest.raises(aio.AioRpcError) as refused:
            await stub.SubmitReference(reference(rig=rig))
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "is not a name" in str(refused.value.details())


async def test_a_reference_of_the_size_before_is_no_failure_of_ours(
    center: Any, channel: aio.Channel, camera: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A camera could write a traceback into the log with each reconnect."""
    left = camera(View.LEFT)
    await left.connect()
    await reference_grpc.ReferenceServiceStub(channel).SubmitReference(reference(1))
    await left.leave()
    large = camera(View.LEFT, height=256, width=512)
    await large.connect()
    symbols = np.ones(PictureSize(256, 512).symbols, np.complex64)
    await large.send(1, referenced=True, symbols=pack_complex(symbols))
    registry, labels = center.metrics.registry, {"outcome": "failed"}
    await eventually(lambda: bool(registry.get_sample_value("vergence_center_references_total", labels)))
    assert "a measurement failed" not in caplog.text


async def test_a_reference_has_the_size_of_its_stream(channel: aio.Channel, camera: Any) -> None:
    left = camera(View.LEFT, height=256, width=512)
    await left.connect()
    stub = reference_grpc.ReferenceServiceStub(channel)
    with pytest.raises(aio.AioRpcError) as refused:
        await stub.SubmitReference(reference())
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details() == (
        "the picture is 128x256 (rows x columns), but this camera's stream has 256x512; send that"
    )
    await stub.SubmitReference(reference(picture=pack_picture(np.zeros((256, 512, 3), np.uint8))))
