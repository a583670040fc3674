"""Ray's replicas as an engine, with a handle that is not Ray's; tests/deploy/test_ray.py has the real one."""

import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from center.decode import engines
from center.decode.engines import Batch, BatchLost, RayEngine
from center.decode.engines.base import MOST_IN_FLIGHT, in_flight, threads
from center.decode.engines.ray_engine import CALL_SECONDS
from tests.center.conftest import FakeEngine
from tests.waiting import wait_for
from wire.runtime.errors import UserError


class Gone(Exception):
    """What Ray raises for a replica that died."""


class FakeMethod:
    def __init__(self, work: Callable[..., Any]) -> None:
        self._work, self.patience, self.cancelled = work, list[float](), 0

    def remote(self, *words: Any) -> Any:
        method = self

        class Answer:
            def result(self, timeout_s: float) -> Any:
                method.patience.append(timeout_s)
                return method._work(*words)

            def cancel(self) -> None:
                method.cancelled += 1

        return Answer()


class FakeHandle:
    """Of an application whose replicas paint what FakeEngine paints, in half precision as ours do."""

    def __init__(self) -> None:
        self.engine, self.raises = FakeEngine(), list[Exception]()
        self.describe = FakeMethod(lambda: {"codec_hash": "00c0ffee00c0ffee", "engine": "fake on cpu", "pid": "1"})
        self.decode = FakeMethod(self._decode)

    def _decode(self, batch: Batch) -> Any:
        if self.raises:
            raise self.raises.pop()
        return self.engine.decode(batch).astype(np.float16)


class Cluster:
    """How many replicas run, how often that was asked, and the time. fails: nobody can say how many run"""

    def __init__(self, running: int) -> None:
        self.running, self.asked, self.now, self.fails = running, 0, 0.0, False
        self.handle = FakeHandle()
        self.engine = RayEngine(self.handle, self._count, "here", (Gone,), lambda: self.now)

    def decode_until(self, batches: int) -> None:
        """Decode until so many may be in flight: replicas are counted beside."""
        wait_for(lambda: len(self.engine.decode(Batch.noise(1))) == 1 and in_flight(self.engine) == batches)

    def _count(self) -> int:
        self.asked += 1
        if self.fails:
            raise KeyError("vergence")
        return self.running


def test_pictures_come_from_a_replica_in_32_bits_again() -> None:
    cluster = Cluster(2)
    batch = Batch.noise(3, 10.0)
    pictures = cluster.engine.decode(batch)
    assert pictures.dtype == np.float32
    assert np.allclose(pictures, FakeEngine().decode(batch), atol=2e-4)
    assert (cluster.engine.codec_hash, cluster.engine.name) == ("00c0ffee00c0ffee", "ray on here (fake on cpu)")
    assert cluster.handle.decode.patience == [CALL_SECONDS]


def test_one_batch_more_is_in_flight_than_there_are_replicas() -> None:
    cluster = Cluster(2)
    assert (in_flight(cluster.engine), threads(cluster.engine)) == (3, MOST_IN_FLIGHT)
    cluster.running = 5
    cluster.engine.decode(Batch.noise(1))
    assert (in_flight(cluster.engine), cluster.asked) == (3, 1), "asked once a second, not for every batch"
    cluster.now = 1.5
    cluster.decode_until(6)
    assert cluster.asked == 2
    cluster.running, cluster.now = 1_000, 3.0
    cluster.decode_until(MOST_IN_FLIGHT)


def test_pictures_do_not_wait_for_who_counts_replicas() -> None:
    cluster, answered = Cluster(2), threading.Event()

    def slow() -> int:
        assert answered.wait(20)
        return 3

    cluster.engine._running = slow
    cluster.now = 1.5
    assert len(cluster.engine.decode(Batch.noise(1))) == 1
    assert in_flight(cluster.engine) == 3, "as before"
    answered.set()
    wait_for(lambda: in_flight(cluster.engine) == 4)


def test_pictures_come_though_nobody_can_say_how_many_replicas_run(caplog: pytest.LogCaptureFixture) -> None:
    cluster = Cluster(2)
    cluster.fails, cluster.now = True, 1.5
    assert len(cluster.engine.decode(Batch.noise(1))) == 1
    wait_for(lambda: "the Ray replicas cannot be counted ('vergence'); 2 are taken to run" in caplog.text)
    cluster.handle.raises = [Gone("the actor died")]
    with pytest.raises(BatchLost, match="the actor died"):
        cluster.engine.decode(Batch.noise(1))
    cluster.fails, cluster.running, cluster.now = False, 4, 9.0
    cluster.decode_until(5)


def test_an_engine_of_one_thread_gets_one_batch() -> None:
    assert (in_flight(FakeEngine()), threads(FakeEngine()), in_flight(None)) == (1, 1, 1)


@pytest.mark.parametrize("error", [Gone("the actor died"), TimeoutError()], ids=["died", "hangs"])
def test_a_replica_that_is_gone_loses_its_batch_and_no_other(error: Exception) -> None:
    cluster = Cluster(2)
    cluster.handle.raises, cluster.running = [error], 1
    with pytest.raises(BatchLost, match=str(error) or "TimeoutError"):
        cluster.engine.decode(Batch.noise(1))
    wait_for(lambda: in_flight(cluster.engine) == 2)  # counted at once, so that none waits behind who is gone
    assert cluster.handle.decode.cancelled == isinstance(error, TimeoutError), "what hangs is not to be decoded later"
    assert len(cluster.engine.decode(Batch.noise(1))) == 1


def test_a_decoder_that_fails_is_no_replica_that_is_gone() -> None:
    cluster = Cluster(1)
    cluster.handle.raises = [ValueError("bad batch")]
    with pytest.raises(ValueError, match="bad batch"):
        cluster.engine.decode(Batch.noise(1))


def test_without_ray_a_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"^ray is not installed; .* pip install '\.\[ray\]'$"):
        engines.load("small-joint", "ray", "auto", 2)
