"""Pictures of other sizes than 128x256, from their cameras through the channel emulator to whoever watches."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grpc import StatusCode, aio
from numpy.typing import NDArray

from center.config import CenterConfig
from center.decode.engines import Batch
from center.service import Center
from channel_emulator.config import EmulatorConfig
from channel_emulator.emulator import Emulator
from deploy.bench.loopback import Edge, picture
from deploy.bench.watch import PairWatcher
from deploy.local.stack import Ports, running
from edge.config import EdgeConfig
from edge.daemon import run
from edge.encode.encoder import Encoder
from tests.edge.conftest import HASH, tiny_encoder
from tests.waiting import eventually, wait_for
from wire import codec
from wire.contract.arrays import unpack_picture
from wire.geometry import DEFAULT_SIZE, LARGEST_SIZE, PictureSize
from wire.runtime import grpc_kit
from wire.runtime.errors import UserError
from wire.v1 import pair_service_pb2 as pair_pb2
from wire.v1.pair_service_pb2_grpc import PairServiceStub
from wire.views import View

TWICE = PictureSize(256, 512)


class LightEngine:
    """A picture is as light as the mean power of its symbols, so that a lost or misread one is seen."""

    name, codec_hash = "light", HASH

    def decode(self, batch: Batch) -> NDArray[np.float32]:
        assert batch.symbols.shape == (len(batch), 2, batch.size.symbols, 2)
        light = np.clip((batch.symbols**2).sum(axis=3).mean(axis=2) / 2, 0, 1)[:, :, None, None, None]
        return np.broadcast_to(light, (len(batch), 2, 3, batch.size.rows, batch.size.columns)).astype(np.float32)


class House:
    """A center, an emulator before it, and edges that come and go."""

    def __init__(self, center: Center, emulator: str, codec: str) -> None:
        self.center, self.emulator, self.codec = center, emulator, codec
        self.address = f"127.0.0.1:{center.port}"

    @contextlib.asynccontextmanager
    async def rig(self, name: str, size: str, **sections: Any) -> AsyncIterator[None]:
        """Both edges of a rig, each a whole daemon with a drawn scene."""
        stop = asyncio.Event()
        common = {
            "rig": name,
            "size": size,
            "camera": {"kind": "synthetic", "fps": 3},  # a rate that a busy machine keeps up with
            "link": {"address": self.emulator, "age_budget_ms": 0},
            "reference": {"every": 1, "address": self.address},
            "codec": {"name": self.codec},
            "metrics": {"port": 0},
        }
        running = [
            asyncio.create_task(run(EdgeConfig.model_validate({**common, "view": view, **sections}), stop))
            for view in View
        ]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*running)

    async def watch(self, rig: str, *, measured: bool = False) -> pair_pb2.WatchPairsResponse:
        """The next pair of both views of a rig; measured: with figures of both, and their references."""
        request = pair_pb2.WatchPairsRequest(rig=rig, late_figures=True)
        async with asyncio.timeout(30), grpc_kit.connect(self.address) as channel:
            watching: Any = PairServiceStub(channel).WatchPairs(request)
            async for pair in watching:
                if len(pair.views) == 2 and (not measured or all(view.HasField("reference") for view in pair.views)):
                    watching.cancel()
                    assert isinstance(pair, pair_pb2.WatchPairsResponse)
                    return pair
        raise AssertionError("the watch has ended")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    tiny_encoder(tmp_path / "encoder.onnx")
    common = {"listen": "127.0.0.1:0"}
    config = {**common, "emulator": "", "page": {"port": 0}, "drain_s": 0.5}
    center = Center(CenterConfig.model_validate(config), LightEngine())
    await center.start()
    upstream = {"upstream": f"127.0.0.1:{center.port}", "drain_seconds": 0.3, "defaults": {"snr_db": 20.0}}
    emulator = Emulator(EmulatorConfig.model_validate({**common, **upstream}))
    port = await emulator.start()
    try:
        yield House(center, f"127.0.0.1:{port}", str(tmp_path))
    finally:
        await emulator.stop()
        await center.stop()


@pytest.mark.parametrize("size", [TWICE, LARGEST_SIZE, PictureSize(144, 272)], ids=str)
async def test_a_rig_of_another_size_runs_beside_one_of_128x256(house: House, size: PictureSize) -> None:
    async with house.rig("wide", str(size)), house.rig("usual", "128x256"):
        for rig, expected in (("wide", size), ("usual", DEFAULT_SIZE)):
            pair = await house.watch(rig, measured=True)
            assert [view.view for view in pair.views] == [view.to_proto() for view in View]
            for view in pair.views:
                for shown in (view.picture, view.reference):
                    assert (shown.height, shown.width) == (expected.rows, expected.columns)
                assert unpack_picture(view.picture).mean() > 100, "half the power of its symbols, less little noise"
                assert unpack_picture(view.reference).std() > 10, "the drawn scene"
                assert 0 < view.psnr_db < 30
                assert view.snr_db == 20.0
        told = {rig["rig"]: (rig["size"], rig["symbols"]) for rig in house.center.status()["live_rigs"]}
        assert told == {"wide": (str(size), size.symbols), "usual": ("128x256", 5120)}
    rejected = house.center.metrics.registry.get_sample_value
    for rig in ("wide", "usual"):
        labels = {"rig": rig, "view": "left", "outcome": "rejected"}
        assert not rejected("vergence_center_frames_total", labels)


async def refusal(edge: Edge) -> tuple[StatusCode, str]:
    try:
        await edge.hello()
    except aio.AioRpcError as error:
        return error.code(), str(error.details())
    raise AssertionError("it was let in")


async def test_both_views_of_a_rig_have_one_size_and_it_changes_when_both_are_gone(house: House) -> None:
    async with Edge(house.emulator, codec_hash=HASH, size=TWICE) as left:
        await left.hello()
        async with Edge(house.emulator, View.RIGHT, codec_hash=HASH) as right:
            assert await refusal(right) == (
                StatusCode.FAILED_PRECONDITION,
                "the right camera of rig demo sends pictures of 128x256, the left one of 256x512;"
                " set size of both edges alike",
            )
        async with Edge(house.emulator, View.RIGHT, codec_hash=HASH, size=TWICE) as right:
            await right.hello()
    rig = house.center.rigs.get("demo")
    assert rig is not None
    await eventually(lambda: not rig.connected())
    async with Edge(house.emulator, View.RIGHT, codec_hash=HASH) as right:
        await right.hello()
        assert (await right.frame(picture(1))).reason == ""


@pytest.mark.parametrize("door", ["emulator", "center"])
async def test_a_frame_of_another_size_than_its_hello_said_is_rejected(house: House, door: str) -> None:
    address = house.emulator if door == "emulator" else house.address
    async with Edge(address, codec_hash=HASH, size=TWICE) as left:
        await left.hello()
        answer = await left.frame(picture(1))
        assert answer.reason == "shape"
        assert "5120" in answer.detail
        assert "256x512" in answer.detail
        assert (await left.frame(picture(2, size=TWICE))).reason == ""


async def test_larger_pictures_than_a_service_takes_are_refused_by_it(house: House) -> None:
    common = {"listen": "127.0.0.1:0"}
    links = {"links": {"largest_size": "256x512"}}
    small = Center(
        CenterConfig.model_validate({**common, "emulator": "", "page": {"port": 0}, "drain_s": 0.2, **links}),
        LightEngine(),
    )
    await small.start()
    relay = {"upstream": house.address, "drain_seconds": 0.2, "largest_size": "256x512"}
    emulator = Emulator(EmulatorConfig.model_validate({**common, **relay}))
    doors = {
        "links.largest_size of the center": f"127.0.0.1:{small.port}",
        "largest_size of the channel emulator": f"127.0.0.1:{await emulator.start()}",
    }
    try:
        for key, address in doors.items():
            async with Edge(address, codec_hash=HASH, size=LARGEST_SIZE) as edge:
                assert await refusal(edge) == (
                    StatusCode.FAILED_PRECONDITION,
                    f"pictures of 512x1024 are sent, 256x512 is the most here; set size of the edge, or raise {key}",
                )
            async with Edge(address, codec_hash=HASH, size=TWICE) as edge:
                await edge.hello()
                assert (await edge.frame(picture(1, size=TWICE))).reason == ""
    finally:
        await emulator.stop()
        await small.stop()


def free_codec() -> str:
    """The shipped codec, if its graphs take any size."""
    try:
        Encoder(codec.DEFAULT, 1, TWICE)
    except UserError as problem:
        pytest.skip(str(problem))
    return codec.DEFAULT


def test_the_demo_s_clip_comes_through_the_shipped_codec_at_256x512() -> None:
    """Real processes, as `vergence demo --size 256x512` starts them; at two pictures a second any machine keeps up."""
    camera = {
        "VERGENCE_EDGE__CAMERA__FPS": "2",
        "VERGENCE_EDGE__REFERENCE__EVERY": "1",
        "VERGENCE_EDGE__SIZE": str(TWICE),
    }
    patient = {"VERGENCE_CENTER__PAIRING__PATIENCE_MS": "1000", "VERGENCE_CENTER__CODEC": free_codec()}
    with running(Ports.free(), print, {**camera, **patient}) as stack:
        shapes: set[tuple[int, int]] = set()
        watcher = PairWatcher(
            f"{stack.ports.host}:{stack.ports.center}",
            lambda pair: shapes.update((view.picture.height, view.picture.width) for view in pair.views),
        )
        try:
            wait_for(lambda: any(len(each.psnr_db) == 2 for each in watcher.since(0.0)), seconds=60.0)
            measured = [each for each in watcher.since(0.0) if each.psnr_db]
            assert shapes == {(TWICE.rows, TWICE.columns)}
            assert all(15.0 < decibels < 45.0 for each in measured for decibels in each.psnr_db.values())
            status = stack.status()
            assert status is not None
            assert [rig["size"] for rig in status["live_rigs"]] == ["256x512"]
        finally:
            watcher.close()
