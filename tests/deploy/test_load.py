"""The load tool: open loop, honest counting, quantiles as Prometheus has them."""

import asyncio
import math
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from center.decode.engines import Kind, load
from deploy.bench.doors import Door, summary
from deploy.bench.doors import measure as measure_doors
from deploy.bench.load import bare
from deploy.bench.load.bare import BareEngine, measure
from deploy.bench.load.command import keeps
from deploy.bench.load.frames import PreparedFrames
from deploy.bench.load.generator import LoadCamera, Sent, send_load
from deploy.bench.load.report import draw
from deploy.bench.load.watcher import Counters, Seen, Usage, histogram_quantile, note, quantile, sample_usage
from deploy.bench.loopback import CREDIT, Center
from deploy.local.demo import temporary_certs
from deploy.local.secured import Parties
from tests.edge.conftest import tiny_encoder
from wire import codec, units
from wire.contract.arrays import unpack_complex
from wire.geometry import PictureSize
from wire.runtime.errors import UserError
from wire.v1 import pair_service_pb2 as pairs_pb2
from wire.views import View

CPU_KINDS: tuple[Kind, ...] = ("onnxruntime", "onnxruntime-i8")


@pytest.fixture(scope="module")
def prepared() -> PreparedFrames:
    return PreparedFrames.make("small-joint", 4.0)


def test_prepared_frames_crossed_an_awgn_link(prepared: PreparedFrames) -> None:
    frames = [prepared.frame(View.LEFT, sequence, captured_at_ns=5) for sequence in range(1, 9)]
    received = np.stack([unpack_complex(frame.symbols) for frame in frames])
    # Signal and noise are independent: their powers add up; 8 x 5120 symbols bring the mean within 2 %.
    expected = units.POWER + units.noise_variance(4.0)
    assert np.mean(np.abs(received) ** 2) == pytest.approx(expected, rel=0.02)
    assert frames[0].channel_state.noise_variance == pytest.approx(units.noise_variance(4.0))
    message, symbols = prepared.wire_bytes()
    assert symbols <= message <= 1.02 * symbols


async def test_pictures_of_any_size_can_be_sent(tmp_path: Path) -> None:
    tiny_encoder(tmp_path / "encoder.onnx")
    size = PictureSize(256, 512)
    wide = PreparedFrames.make(str(tmp_path), 4.0, size=size)
    center = Center()
    address = await center.start()
    try:
        sent = await send_load(address, wide, rigs=1, rate=20.0, seconds=0.2)
    finally:
        await center.stop()
    assert sent.outcomes["accepted"] > 0
    assert {(hello.height, hello.width) for hello, _ in center.hellos} == {(256, 512)}
    assert {frame.symbols.count for frame in center.frames} == {20480}
    with pytest.raises(UserError, match=r"left: the picture is 256x512 .* at least 512x1024 is needed"):
        PreparedFrames.make(str(tmp_path), 4.0, size=PictureSize(512, 1024))


async def test_every_due_frame_is_sent_at_its_beat(prepared: PreparedFrames) -> None:
    center = Center()
    address = await center.start()
    try:
        sent = await send_load(address, prepared, rigs=2, rate=20.0, seconds=0.5)
    finally:
        await center.stop()
    assert sent.captured == 2 * 2 * 10
    assert sent.outcomes["accepted"] + sent.held_back == sent.captured
    assert {hello.rig for hello, _ in center.hellos} == {"load-0", "load-1"}


async def test_without_credit_only_the_newest_frame_waits(prepared: PreparedFrames) -> None:
    center = Center()
    address = await center.start()
    sent = Sent()
    camera = LoadCamera(address, "rig", View.LEFT, prepared, 10.0, sent)
    try:
        await camera.connect()
        for sequence in range(1, 12):  # all at once: the writer has no turn in between
            camera.capture(sequence, 0)
        assert sent.captured == 11
        assert sent.held_back == 10
    finally:
        await camera.close()
        await center.stop()
    assert CREDIT < 11


def test_quantiles_of_a_histogram_are_those_of_prometheus() -> None:
    buckets = {0.1: 50.0, 0.2: 90.0, math.inf: 100.0}
    assert histogram_quantile(buckets, 0.25) == pytest.approx(0.05)
    assert histogram_quantile(buckets, 0.7) == pytest.approx(0.15)
    assert histogram_quantile(buckets, 0.99) == 0.2
    assert math.isnan(histogram_quantile({0.1: 0.0, math.inf: 0.0}, 0.5))


def test_counters_tell_what_came_since() -> None:
    before = Counters({("drops", (("reason", "late"), ("rig", "a"))): 2.0})
    after = Counters(
        {("drops", (("reason", "late"), ("rig", "a"))): 5.0, ("drops", (("reason", "late"), ("rig", "b"))): 1.0}
    )
    assert after.since(before).by("drops", "reason") == {"late": 4.0}


@pytest.mark.parametrize(("p99", "paired", "held"), [(90.0, 100.0, True), (110.0, 100.0, False), (90.0, 98.0, False)])
def test_a_rate_is_held_in_time_and_in_full(p99: float, paired: float, held: bool) -> None:
    told = {"age_ms": {"p99": p99}, "paired": 100.0, "seen_paired": paired, "offered_pairs": 100.0}
    assert keeps(told, 100.0) is held, "what the watcher missed has no age"


def test_what_waited_at_the_end_is_no_higher_rate() -> None:
    """An overloaded center goes on decoding after the load: its pairs are told over the time that they took."""
    seen = Seen(arrivals={"a": [100.5, 119.0], "b": [101.0, 120.4]})
    assert seen.lasted(began=100.0, seconds=20.0) == pytest.approx(20.4)
    assert seen.lasted(began=100.0, seconds=25.0) == 25.0
    assert Seen().lasted(began=100.0, seconds=20.0) == 20.0


def test_a_pair_is_noted_with_the_time_since_it_was_decoded() -> None:
    seen, now = Seen(), time.time_ns()
    note(seen, pairs_pb2.WatchPairsResponse(rig="a", captured_at_ns=now - 90_000_000, decoded_at_ns=now - 10_000_000))
    assert seen.ages[0] - seen.publishing[0] == pytest.approx(0.08)
    assert seen.publishing[0] >= 0.01
    assert (seen.paired, seen.single, list(seen.arrivals)) == (0, 1, ["a"])


def test_the_chart_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    figures = {"p50": 20.0, "p95": 30.0, "p99": math.inf}
    stages = {"decode": {"p50": 20.0, "p95": 21.0, "p99": 25.0}, "capture": dict.fromkeys(figures, math.nan)}
    runs = [{"rigs": 2, "rate": rate, "stages_ms": stages, "age_ms": figures} for rate in (4.0, 2.0)]
    draw(runs, 18.0, tmp_path / "chart.svg")
    assert "decode" in (tmp_path / "chart.svg").read_text()


async def test_cpu_time_is_told_up_to_the_end() -> None:
    usage = Usage()
    looking = asyncio.create_task(sample_usage(os.getpid(), usage, every=3_600.0))
    await asyncio.sleep(0)
    began = time.process_time()
    while time.process_time() - began < 0.05:
        pass
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    assert usage.cpu >= 0.03


def test_the_bare_engine_is_timed_at_every_size() -> None:
    class Counting:
        name, codec_hash = "counting", ""

        def __init__(self) -> None:
            self.sizes: list[int] = []

        def decode(self, batch: object) -> "np.typing.NDArray[np.float32]":
            self.sizes.append(len(batch))  # type: ignore[arg-type]
            return np.zeros((1,), np.float32)

    named = {BareEngine(load(codec.DEFAULT, kind, "cpu", 1).name, {}).kind: kind for kind in CPU_KINDS}
    assert all(told == kind for told, kind in named.items()), "so that a center can be told to take the same"
    engine = Counting()
    result = measure(engine, (1, 4), tries=3)
    assert engine.sizes == [1, 4] * 4
    assert result.pairs_per_second >= 1 / result.seconds[1]


def test_the_bare_engine_is_timed_at_the_beat_of_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    began: list[float] = []

    class Sleeper:
        name, codec_hash = "sleeper", ""

        def decode(self, batch: object) -> "np.typing.NDArray[np.float32]":
            began.append(time.perf_counter())
            time.sleep(0.01)
            return np.zeros((1,), np.float32)

    monkeypatch.setattr(bare, "_BEAT_SECONDS", 0.25)
    times = bare.measure_at_beat(Sleeper(), 0.05)
    assert len(times) == len(began) == 5
    assert min(times) >= 0.01
    assert began[-1] - began[0] >= 4 * 0.05 - 1e-3, "a rest between, not one after the other"


def test_the_quantile_of_nothing_is_no_number() -> None:
    assert math.isnan(quantile([], 0.5))
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0


async def test_the_cost_of_a_lock_is_measured_over_both_doors() -> None:
    """Every frame of either door is counted, and what is printed is their difference."""
    with tempfile.TemporaryDirectory() as folder:
        doors = [Door("plain", Parties(None)), Door("locked", Parties(temporary_certs(Path(folder))))]
        await measure_doors(doors, frames=16, connections=2)
    assert [len(door.seconds) for door in doors] == [16, 16]
    assert [len(door.connects) for door in doors] == [2, 2]
    doors[0].cpu, doors[1].cpu = [0.001] * 2, [0.003] * 2
    told = summary(doors, decoder_ms=36.0)
    assert told["more_cpu_ms_per_pair"] == pytest.approx(4.0)
    assert told["share_of_pairs"] == pytest.approx(0.1)


async def test_load_goes_through_locked_doors(prepared: PreparedFrames, tmp_path: Path) -> None:
    parties = Parties(temporary_certs(tmp_path, ["load-0"]))
    center = Center(keys=parties.keys("center"))
    address = await center.start()
    try:
        sent = await send_load(address, prepared, rigs=1, rate=20.0, seconds=0.5, parties=parties)
    finally:
        await center.stop()
    assert sent.outcomes["accepted"] + sent.held_back == sent.captured == 20
    assert all(metadata["authorization"].startswith("Bearer vgt_") for _, metadata in center.hellos)
