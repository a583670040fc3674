"""The pipeline on a clock of our own: what it keeps, and what a frame costs it."""

import dataclasses
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from center.config import BatchingSection, QualitySection
from center.decode.engines import Batch, BatchLost
from center.decode.pairer import Paired
from center.decode.pipeline import Pipeline
from center.ingest.camera import Session
from center.ingest.camera_clock import CameraClock
from center.ingest.frames import Frame
from center.ingest.rig import Rig
from center.ingest.rigs import Rigs
from center.metrics import Metrics
from center.output.broadcast import PairBroadcaster
from center.output.quality import FrameKey
from center.output.quality_monitor import QualityMonitor
from center.output.results import DecodedPair
from center.steady_clock import SteadyClock
from tests.center.conftest import FakeEngine
from tests.center.decode.engines.test_ray_engine import Cluster
from tests.waiting import eventually
from wire.geometry import DEFAULT_SIZE, LARGEST_SIZE, PictureSize
from wire.views import View

PERIOD = 1 / 15


class Bench:
    """A pipeline, and frames for it. at: seconds on its clock."""

    def __init__(self, patience: float = 0.08, most: int = 2_000, **batching: int) -> None:
        self.at, self.metrics = 1_000.0, Metrics()
        self.rigs = Rigs(None, patience, 1.0, most)
        broadcaster = PairBroadcaster()
        clock = SteadyClock(lambda: self.at, lambda: self.at)
        self.quality = QualityMonitor(QualitySection(), broadcaster, self.metrics)
        self.pipeline = Pipeline(BatchingSection(**batching), self.rigs, broadcaster, self.quality, self.metrics, clock)
        self.pipeline.engine = FakeEngine()
        self.answers: list[tuple[int, Any, str, str]] = []
        self._pairs: list[tuple[str, int]] = []
        publish = broadcaster.publish

        def note(pair: DecodedPair) -> None:
            self._pairs.append((pair.rig, pair.views[0].sequence))
            publish(pair)

        broadcaster.publish = note  # type: ignore[method-assign]

    def rig(self, name: str) -> Rig:
        rig = self.rigs.admit(name)
        for view in View:
            rig.pairer.connect(view, self.at, restarted=True)
        return rig

    def frame(
        self,
        rig: Rig,
        view: View,
        sequence: int,
        captured_at: float,
        expires_at: float,
        size: PictureSize = DEFAULT_SIZE,
    ) -> Frame:
        return Frame(
            key=FrameKey(rig.name, view, 1, sequence),
            captured_at=captured_at,
            arrived_at=self.at,
            expires_at=expires_at,
            symbols=np.zeros((size.symbols, 2), np.float32),
            reliability=np.zeros(size.symbols, np.float32),
            snr_db=10.0,
            stages={},
            referenced=False,
            answer=lambda *answer: self.answers.append(answer),
            size=size,
        )

    def push(self, rig: Rig, frame: Frame) -> None:
        self.pipeline.handle(rig, rig.pairer.push(frame))

    def push_alone(self, rig: Rig, sequence: int, snr_db: float, size: PictureSize = DEFAULT_SIZE) -> None:
        """An instant of one view: the other camera is not connected."""
        rig.pairer.disconnect(View.RIGHT)
        self.at += 0.001
        frame = self.frame(rig, View.LEFT, sequence, self.at, self.at + 9.0, size)
        self.push(rig, dataclasses.replace(frame, snr_db=snr_db))

    def shown(self) -> dict[str, list[int]]:
        """Sequences by rig, in the order in which they were shown."""
        return {rig: [number for of, number in self._pairs if of == rig] for rig in dict(self._pairs)}

    async def close(self) -> None:
        await self.pipeline.finish(5.0)
        await self.quality.close()


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_rig_is_looked_at_once_however_many_of_its_frames_waited(bench: Bench) -> None:
    """Left frames wait most of the time for right ones, as over a slower link: something always waits."""
    rig = bench.rig("lab")
    for sequence in range(1, 301):
        captured_at = bench.at
        bench.push(rig, bench.frame(rig, View.LEFT, sequence, captured_at, captured_at + 1.0))
        if sequence > 1:
            older = captured_at - PERIOD + 0.001
            bench.push(rig, bench.frame(rig, View.RIGHT, sequence - 1, older, older + 1.0))
        bench.at += PERIOD
        bench.pipeline.pump()
        assert len(bench.pipeline._looks) <= 2
    await bench.close()


async def test_what_is_decoded_is_let_go_though_it_would_live_for_long(bench: Bench) -> None:
    """A sender may allow its frames 49 days."""
    rig = bench.rig("lab")
    rig.pairer.disconnect(View.RIGHT)
    kept: list[weakref.ref[Any]] = []
    for sequence in range(1, 101):
        frame = bench.frame(rig, View.LEFT, sequence, bench.at, bench.at + 4e6)
        kept.append(weakref.ref(frame.symbols))
        bench.push(rig, frame)
        del frame
        bench.at += PERIOD
    await bench.close()
    assert sum(each() is not None for each in kept) <= 20


async def test_a_decoder_that_hangs_keeps_no_camera_waiting_for_an_answer(bench: Bench) -> None:
    """What has grown too old is answered when it does, though nothing else happens."""
    rig = bench.rig("lab")
    rig.pairer.disconnect(View.RIGHT)
    engine = bench.pipeline.engine
    assert isinstance(engine, FakeEngine)
    engine.may.clear()
    for sequence in (1, 2):
        bench.push(rig, bench.frame(rig, View.LEFT, sequence, bench.at + sequence / 1e3, bench.at + 0.05))
    assert [answer[0] for answer in bench.answers] == [1]
    bench.at += 0.06
    await eventually(lambda: len(bench.answers) == 2)
    assert [(answer[0], answer[2]) for answer in bench.answers] == [(1, ""), (2, "late")]
    engine.may.set()
    await bench.close()


async def test_a_rig_that_fails_is_looked_at_again_and_holds_up_no_other(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    rigs = [bench.rig("broken"), bench.rig("lab")]
    for rig in rigs:
        bench.push(rig, bench.frame(rig, View.LEFT, len(rig.name), bench.at, bench.at + 9.0))
    expire, calls = rigs[0].pairer.expire, iter((1,))

    def fails_once(now: float) -> Any:
        if next(calls, None):
            raise RuntimeError("on purpose")
        return expire(now)

    rigs[0].pairer.expire = fails_once  # type: ignore[method-assign]
    bench.at += 0.1
    bench.pipeline.pump()
    assert "rig broken: its frames could not be released" in caplog.text
    assert [answer[0] for answer in bench.answers] == [len("lab")]
    bench.at += 1.0
    await eventually(lambda: len(bench.answers) == 2)
    assert [answer[0] for answer in bench.answers] == [len("lab"), len("broken")]
    await bench.close()


def slow(bench: Bench, seconds: float) -> None:
    engine = bench.pipeline.engine
    assert isinstance(engine, FakeEngine)
    engine.seconds = seconds


async def test_a_full_queue_leaves_no_camera_without_credit() -> None:
    """What is dropped with no newer frame in its place has nothing to wait for: its camera would never send again."""
    bench = Bench(queue=1, max_size=1)
    slow(bench, 0.2)
    names = ["a", "b", "c", "d"]
    for name in names:
        rig = bench.rig(name)
        for view in View:
            bench.push(rig, bench.frame(rig, view, 1, bench.at, bench.at + 9.0))
    answered = [(answer[0], answer[2]) for answer in bench.answers]
    assert answered == [(1, ""), (1, ""), *[(1, "overload")] * 4], "one is decoded, one waits, two are dropped"
    await bench.close()


async def test_the_partner_of_a_view_that_was_dropped_for_overload_goes_the_same_way() -> None:
    bench = Bench()
    slow(bench, 0.2)
    rig = bench.rig("lab")

    def push(view: View, sequence: int, captured_at: float) -> None:
        bench.push(rig, bench.frame(rig, view, sequence, captured_at, captured_at + 9.0))

    first = bench.at
    push(View.LEFT, 1, first)
    push(View.RIGHT, 1, first)  # the decoder is busy from here on
    bench.at += PERIOD
    push(View.LEFT, 2, bench.at)
    bench.at += 0.09
    bench.pipeline.pump()  # patience is over, and the decoder has no time for a view alone
    assert len(bench.answers) == 2
    bench.at += PERIOD
    push(View.LEFT, 3, third := bench.at)
    push(View.RIGHT, 3, third)
    assert bench.answers[2][0::2] == (2, "overload"), "nothing stands in its place, so its credit is back"
    push(View.RIGHT, 4, bench.at + PERIOD)
    await bench.close()
    assert bench.metrics.drops.labels("lab", View.LEFT, "overload")._value.get() == 1
    instants = {outcome: bench.metrics.pairs.labels("lab", outcome)._value.get() for outcome in ("paired", "single")}
    assert instants == {"paired": 2, "single": 1}, "the last right one is decoded when the center stops, after the pair"


async def test_a_late_partner_of_a_dropped_view_counts_as_overload_too() -> None:
    bench = Bench()
    slow(bench, 0.2)
    rig = bench.rig("lab")

    def push(view: View, sequence: int, captured_at: float) -> None:
        bench.push(rig, bench.frame(rig, view, sequence, captured_at, captured_at + 9.0))

    for view in View:
        push(view, 1, bench.at)
    bench.at += PERIOD
    push(View.LEFT, 2, second := bench.at)
    bench.at += 0.09
    bench.pipeline.pump()
    push(View.LEFT, 3, bench.at)
    bench.at += 0.09
    bench.pipeline.pump()  # the third takes the place of the second
    assert bench.answers[-1][0::2] == (2, "overload")
    push(View.RIGHT, 2, second)
    assert bench.answers[-1][0::2] == (2, "overload")
    assert "its partner came long before it" in bench.answers[-1][3]
    push(View.RIGHT, 3, second + 0.09)
    assert bench.pipeline.queued == 1, "the third is whole"
    await bench.close()
    assert bench.metrics.pairs.labels("lab", "paired")._value.get() == 2


async def test_a_slow_camera_is_waited_for_though_its_period_is_longer_than_the_silence() -> None:
    bench = Bench()
    rig = bench.rigs.admit("slow")
    for view in View:
        session = Session(rig, view, 1, CameraClock(0.0), lambda line: None, lambda reason, after_ms: None)
        rig.connect(session, frame_rate=0.5, now=bench.at)
    paired = 0
    for sequence in range(1, 6):
        bench.at += 2.0 + 0.01 * (sequence % 2)  # a beat is never even
        for view in View:
            outcomes = rig.pairer.push(bench.frame(rig, view, sequence, bench.at, bench.at + 9.0))
            paired += sum(isinstance(outcome, Paired) for outcome in outcomes)
    assert paired == 5
    await bench.close()


async def test_a_decoder_that_takes_seconds_for_a_large_picture_shows_it_all_the_same(bench: Bench) -> None:
    """It was taken for a machine that stood still, and nothing was ever shown. The first still is, as nothing is known
    of such a batch; and so is one that takes six times as long as usual."""
    engine = bench.pipeline.engine
    assert isinstance(engine, FakeEngine)
    decode, took = engine.decode, iter((5.0, 5.0, 5.0, 30.0))

    def slowly(batch: Batch) -> NDArray[np.float32]:
        bench.at += next(took)
        return decode(batch)

    engine.decode = slowly  # type: ignore[method-assign]
    rig = bench.rig("lab")
    rig.pairer.disconnect(View.RIGHT)
    for sequence in (1, 2, 3, 4):
        bench.push(rig, bench.frame(rig, View.LEFT, sequence, bench.at, bench.at + 1.0, LARGEST_SIZE))
        await eventually(lambda: not bench.pipeline._decoding)
    await bench.close()
    assert bench.shown() == {"lab": [2, 3]}
    assert bench.metrics.pairs.labels("lab", "late")._value.get() == 2


class Gated(FakeEngine):
    """A batch waits until its gate is open. The number is the SNR in dB."""

    def __init__(self) -> None:
        super().__init__()
        self.gates: dict[float, threading.Event] = {}
        self.lost: set[float] = set()

    def decode(self, batch: Batch) -> NDArray[np.float32]:
        number = float(batch.snr_db.max())
        if (gate := self.gates.get(number)) is not None:
            assert gate.wait(20)
        if number in self.lost:
            raise BatchLost("the replica died")
        return super().decode(batch)


class SideBySide(Gated):
    """Works on two batches at once."""

    in_flight = 2


async def test_the_end_of_large_pictures_is_not_forecast_by_the_time_of_small_ones(bench: Bench) -> None:
    """Else the next batch would be handed over long before the decoder is free, and no newer pair could replace it."""
    engine = Gated()
    bench.pipeline.engine = engine
    small, large = bench.rig("small"), bench.rig("large")
    bench.push_alone(small, 1, snr_db=1.0)
    await eventually(lambda: bench.shown() == {"small": [1]})
    engine.gates = {2.0: threading.Event(), 3.0: threading.Event()}
    bench.push_alone(small, 2, snr_db=2.0)
    assert bench.pipeline._forecast.soon_at < 2_000.0, "of small ones it is"
    engine.gates[2.0].set()
    await eventually(lambda: bench.shown() == {"small": [1, 2]})
    bench.push_alone(large, 1, snr_db=3.0, size=PictureSize(256, 512))
    bench.at += 1.0
    bench.push_alone(small, 3, snr_db=4.0)
    assert bench.pipeline.queued == 1, "it waits for the decoder, however long that takes"
    engine.gates[3.0].set()
    await bench.close()
    assert bench.shown() == {"small": [1, 2, 3], "large": [1]}


LARGE = PictureSize(256, 512)


class LargeAlone(SideBySide):
    """Works on two batches at once, and on one of large pictures alone.

    waits, takes  seconds on the bench's clock until a batch has its places, and then for it; where they are 0 the clock
                  is left to the test's own thread
    """

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self.bench, self.waits, self.takes = bench, 0.0, 0.0

    def pass_time(self, seconds: float) -> None:
        if seconds:
            self.bench.at += seconds

    def places(self, size: PictureSize) -> int:
        return 2 if size == LARGE else 1

    def decode(self, batch: Batch, begun: Callable[[], object] = lambda: None) -> NDArray[np.float32]:
        self.pass_time(self.waits)
        begun()
        self.pass_time(self.takes)
        return super().decode(batch)


async def test_what_is_next_while_a_large_picture_has_all_of_the_engine_can_still_be_replaced(bench: Bench) -> None:
    """Handed over it would wait in a thread, and its cameras, answered, would send more."""
    engine = LargeAlone(bench)
    bench.pipeline.engine = engine
    large, small = bench.rig("large"), bench.rig("small")
    engine.gates = {1.0: threading.Event()}
    bench.push_alone(large, 1, snr_db=1.0, size=LARGE)
    bench.push_alone(large, 2, snr_db=2.0, size=LARGE)
    bench.push_alone(small, 1, snr_db=2.0)
    assert [answer[0] for answer in bench.answers] == [1]
    bench.push_alone(large, 3, snr_db=2.0, size=LARGE)
    bench.push_alone(small, 2, snr_db=2.0)
    engine.gates[1.0].set()
    await bench.close()
    assert bench.shown() == {"large": [1, 3], "small": [2]}


async def test_a_large_picture_that_is_next_waits_for_the_whole_engine_and_holds_up_what_is_behind(
    bench: Bench,
) -> None:
    engine = LargeAlone(bench)
    bench.pipeline.engine = engine
    engine.gates = {1.0: threading.Event()}
    small, large = bench.rig("small"), bench.rig("large")
    bench.push_alone(small, 1, snr_db=1.0)
    bench.push_alone(large, 1, snr_db=2.0, size=LARGE)
    bench.push_alone(small, 2, snr_db=2.0)
    assert (len(bench.answers), bench.pipeline.queued) == (1, 2)
    engine.gates[1.0].set()
    await eventually(lambda: bench.shown() == {"small": [1, 2], "large": [1]})
    assert [float(batch.snr_db.max()) for batch in engine.batches] == [1.0, 2.0, 2.0]
    assert engine.batches[1].size == LARGE
    await bench.close()


async def test_the_end_of_a_large_picture_that_has_all_of_the_engine_is_forecast(bench: Bench) -> None:
    engine = LargeAlone(bench)
    bench.pipeline.engine, engine.takes = engine, 0.2
    rig = bench.rig("large")
    bench.push_alone(rig, 1, snr_db=1.0, size=LARGE)
    await eventually(lambda: bench.shown() == {"large": [1]})
    engine.gates, engine.takes = {number: threading.Event() for number in (2.0, 3.0)}, 0.0
    bench.push_alone(rig, 2, snr_db=2.0, size=LARGE)
    bench.push_alone(rig, 3, snr_db=3.0, size=LARGE)
    assert bench.pipeline.queued == 1
    bench.at += 0.195  # a moment before the end, so that the engine need not wait for the event loop
    bench.pipeline.pump()
    assert bench.pipeline.queued == 0
    engine.gates[2.0].set()
    await eventually(lambda: bench.shown() == {"large": [1, 2]})
    engine.gates[3.0].set()
    await bench.close()


async def test_waiting_for_the_engine_is_not_decoding(bench: Bench) -> None:
    engine = LargeAlone(bench)
    bench.pipeline.engine, engine.waits, engine.takes = engine, 0.4, 0.2
    times: list[tuple[float, float]] = []
    bench.pipeline.on_decoded = lambda jobs, decoded, began, ended: times.append((began, ended))
    bench.push_alone(bench.rig("large"), 1, snr_db=1.0, size=LARGE)
    queued_at = bench.at
    await bench.close()
    assert times == [(pytest.approx(queued_at + 0.4), pytest.approx(queued_at + 0.6))]


async def test_two_batches_are_in_flight_where_the_engine_takes_two(bench: Bench) -> None:
    engine = SideBySide()
    bench.pipeline.engine = engine
    rigs = [bench.rig(name) for name in ("a", "b", "c")]
    engine.gates = {number: threading.Event() for number in (1.0, 2.0, 3.0)}
    for number, rig in enumerate(rigs, 1):
        bench.push_alone(rig, 1, snr_db=float(number))
    assert len(bench.answers) == 2, "the third waits"
    assert bench.pipeline.queued == 1
    engine.gates[2.0].set()
    await eventually(lambda: len(bench.answers) == 3)
    for gate in engine.gates.values():
        gate.set()
    await bench.close()
    assert bench.shown() == {"a": [1], "b": [1], "c": [1]}


async def test_a_picture_that_was_overtaken_is_not_shown(bench: Bench) -> None:
    engine = SideBySide()
    bench.pipeline.engine = engine
    rig = bench.rig("lab")
    engine.gates = {1.0: threading.Event()}
    bench.push_alone(rig, 1, snr_db=1.0)
    bench.push_alone(rig, 2, snr_db=2.0)
    await eventually(lambda: bench.shown() == {"lab": [2]})
    engine.gates[1.0].set()
    await bench.close()
    assert bench.shown() == {"lab": [2]}
    assert dict(rig.drops) == {"late": 1}
    assert bench.pipeline._shown == {}


async def test_what_a_decoder_that_hangs_takes_along_is_told(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    engine = SideBySide()
    bench.pipeline.engine = engine
    engine.gates = {number: threading.Event() for number in (1.0, 2.0)}
    for number, name in enumerate(("a", "b", "c"), 1):
        bench.push_alone(bench.rig(name), 1, snr_db=float(number))
    assert not await bench.pipeline.finish(0.05)
    assert "3 instants are lost" in caplog.text, "two are in flight, one waits"
    for gate in engine.gates.values():
        gate.set()
    await eventually(lambda: not bench.pipeline._decoding)
    await bench.quality.close()


async def test_only_an_engine_of_this_process_can_be_broken_for_good(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replicas are replaced elsewhere; a new center would meet the same ones."""
    monkeypatch.setattr("center.decode.failures.IN_A_ROW", 2)
    monkeypatch.setattr("center.decode.failures.LONG_ENOUGH", 0.0)
    rig, drops = bench.rig("lab"), 0
    replicas, own = Cluster(1), SideBySide()
    for engine, decoder, broken in ((replicas.engine, replicas.handle.engine, False), (own, own, True)):
        decoder.fails = True
        bench.pipeline.engine = engine
        bench.pipeline.failures.end_row()
        for _ in range(2):
            assert not bench.pipeline.broken
            drops += 1
            bench.push_alone(rig, drops, snr_db=1.0)
            await eventually(lambda drops=drops: rig.drops["decoder"] == drops)  # type: ignore[misc]
        assert bench.pipeline.broken is broken
    await bench.close()


async def test_a_batch_that_is_lost_is_counted_and_the_next_goes_on(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    engine = SideBySide()
    bench.pipeline.engine = engine
    rig = bench.rig("lab")
    engine.lost = {1.0}
    bench.push_alone(rig, 1, snr_db=1.0)
    await eventually(lambda: dict(rig.drops) == {"replica": 1})
    bench.push_alone(rig, 2, snr_db=2.0)
    await bench.close()
    assert bench.shown() == {"lab": [2]}
    assert "a batch of 1 is lost: the replica died" in caplog.text
