"""The center as a whole: when it is ready, what it tells of itself."""

import asyncio
import re
import socket
import threading
from typing import Any

import pytest
from prometheus_client import generate_latest

from center.config import CenterConfig
from center.service import Center, run
from tests.center.conftest import Camera, wait_for_partners
from tests.waiting import eventually
from wire.runtime.errors import UserError
from wire.runtime.grpc_kit import connect, healthy
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.v1 import symbol_link_service_pb2_grpc as link_grpc
from wire.views import View


async def test_it_is_not_ready_before_the_decoder_is_warm(engine: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    released = threading.Event()
    decode = engine.decode
    engine.decode = lambda batch: released.wait(5) and decode(batch)
    config = CenterConfig.model_validate({"listen": "127.0.0.1:0", "emulator": "", "page": {"port": 0}})
    center = Center(config, engine)
    starting = asyncio.create_task(center.start())
    async with asyncio.timeout(5):
        while not center.port:  # noqa: ASYNC110 it tells nobody
            await asyncio.sleep(0.005)
    address = f"127.0.0.1:{center.port}"
    assert not await healthy(address, 1.0)
    assert center.status()["why"] == "loading the decoder"
    async with connect(address) as channel:
        for _ in range(3):
            early: Any = link_grpc.SymbolLinkServiceStub(channel).Transmit()
            await early.write(link_pb2.TransmitRequest(hello=link_pb2.Hello(rig="lab", view=View.LEFT.to_proto())))
            assert (await early.code()).name == "UNAVAILABLE"
    told = [line for line in caplog.messages if "still loading its decoder" in line]
    assert 1 <= len(told) <= 2, "cameras knock several times a second; a busy machine may take more than one"
    released.set()
    await starting
    assert await healthy(address, 1.0)
    assert center.status()["ready"]
    await center.stop()
    assert center.status()["why"] == "draining"


async def test_every_batch_size_is_warmed(engine: Any, start_center: Any) -> None:
    batches: list[tuple[int, str]] = []
    decode = engine.decode

    def spy(batch: Any) -> Any:
        batches.append((len(batch), str(batch.size)))
        return decode(batch)

    engine.decode = spy
    await start_center(batching={"max_size": 3})
    assert batches[:3] == [(1, "128x256"), (2, "128x256"), (3, "128x256")]
    assert batches[3:] == [(1, "128x272")], "whether it knows other sizes is seen before any camera may come"


async def test_a_taken_port_is_a_problem_with_its_mend(engine: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = CenterConfig.model_validate({"listen": f"127.0.0.1:{port}", "emulator": "", "page": {"port": 0}})
        center = Center(config, engine)
        with pytest.raises(UserError, match=rf"cannot listen on 127\.0\.0\.1:{port}: address already in use"):
            await center.start()
        await center.stop()


async def test_a_center_whose_decoder_is_broken_for_good_ends(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be ready, take every frame and show nothing; whoever supervises it starts a new one."""
    made: list[Center] = []

    class Made(Center):
        def __init__(self, config: CenterConfig) -> None:
            super().__init__(config, engine)
            made.append(self)

    monkeypatch.setattr("center.service.Center", Made)
    monkeypatch.setattr("prometheus_client.disable_created_metrics", lambda: None)  # it would hold for all tests
    monkeypatch.setattr("center.decode.failures.IN_A_ROW", 3)
    monkeypatch.setattr("center.decode.failures.LONG_ENOUGH", 0.0)
    values = {"listen": "127.0.0.1:0", "emulator": "", "page": {"port": 0}, "drain_s": 0.5, "batching": {"max_size": 1}}
    running = asyncio.create_task(run(CenterConfig.model_validate(values), asyncio.Event()))
    await eventually(lambda: bool(made) and made[0].status()["ready"])
    engine.fails = True
    async with connect(f"127.0.0.1:{made[0].port}") as channel:
        camera = Camera(channel, View.LEFT)
        await camera.connect()
        for sequence in (1, 2, 3):
            await camera.send(sequence)
            await camera.answer()
        with pytest.raises(UserError, match=r"^the decoder failed on every batch; its error is in the log"):
            await asyncio.wait_for(running, 20)


async def test_every_stage_and_outcome_is_counted_once(engine: Any, center: Any, camera: Any) -> None:
    left, right = camera(View.LEFT), camera(View.RIGHT)
    await left.connect()
    await right.connect()
    stages = [link_pb2.StageTime(stage=name, microseconds=100) for name in ("capture", "encode", "channel")]
    pairs = center.broadcaster.watch()
    wait_for_partners(center)
    await left.send(1, stages=stages)
    await right.send(1, stages=stages)
    await asyncio.wait_for(anext(pairs), 20)
    center.rigs.change_pairing(None, 0.08)
    await left.send(1, stages=stages)
    await left.send(2, stages=stages)
    await asyncio.wait_for(anext(pairs), 5)
    text = generate_latest(center.metrics.registry).decode()
    for stage in ("capture", "encode", "channel", "network", "pair", "batch", "decode", "total"):
        assert f'vergence_center_stage_seconds_count{{rig="lab",stage="{stage}",view="right"}} 1.0' in text
    for line in (
        'vergence_center_frames_total{outcome="accepted",rig="lab",view="left"} 2.0',
        'vergence_center_frames_total{outcome="rejected",rig="lab",view="left"} 1.0',
        'vergence_center_drops_total{reason="sequence",rig="lab",view="left"} 1.0',
        'vergence_center_pairs_total{outcome="paired",rig="lab"} 1.0',
        'vergence_center_pairs_total{outcome="single",rig="lab"} 1.0',
        'vergence_center_connected{rig="lab",view="left"} 1.0',
        'vergence_center_snr_decibels{rig="lab",view="left"} +Inf',
        "vergence_center_batch_pairs_sum 2.0",
        "vergence_center_ready 1.0",
        'vergence_center_hellos_total{outcome="accepted"} 2.0',
    ):
        assert line in text, line
    assert "process_resident_memory_bytes" in text
    labels = {
        label
        for labels in re.findall(r"^vergence_center_\w+{(.*?)}", text, re.M)
        for label in re.findall(r"(\w+)=", labels)
    }
    assert labels == {"rig", "view", "stage", "outcome", "reason", "le"}


async def test_status_tells_of_every_rig(center: Any, camera: Any) -> None:
    left = camera(View.LEFT)
    await left.connect()
    pairs = center.broadcaster.watch()
    await left.send(1)
    await asyncio.wait_for(anext(pairs), 5)
    status = center.status()
    assert (status["codec_hash"], status["engine"], status["queue"]) == ("0123456789abcdef", "fake", 0)
    (rig,) = status["live_rigs"]
    assert (rig["rig"], rig["connected"], rig["decoded"]) == ("lab", ["left"], {"paired": 0, "single": 1})
    assert rig["single_share"] == 1.0
    assert rig["frame_rate"]["left"] == pytest.approx(1 / 3, abs=0.1)
    assert rig["tolerance_ms"] == pytest.approx(1000 / 60)


async def test_the_tolerance_can_be_changed_while_frames_flow(center: Any, camera: Any) -> None:
    left = camera(View.LEFT)
    await left.connect()
    center.rigs.change_pairing(0.005, 0.1)
    assert center.status()["live_rigs"][0]["tolerance_ms"] == 5.0
    center.rigs.change_pairing(None, 0.1)
    await camera(View.RIGHT, frame_rate=10.0).connect()
    assert center.status()["live_rigs"][0]["tolerance_ms"] == pytest.approx(1000 / 60), "the faster camera's"
