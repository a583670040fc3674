"""Two decodings side by side."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from center.decode.engines import OnnxEngine, base
from center.decode.engines.lanes import Lanes
from tests.decoders import batch_of
from wire import codec
from wire.geometry import DEFAULT_SIZE, LARGEST_SIZE, PictureSize


class Session:
    """Says which it was, and decodes until it is let go."""

    def __init__(self, cores: int, log: list[int]) -> None:
        self.cores, self.log = cores, log
        self.began, self.go_on = threading.Semaphore(0), threading.Semaphore(0)

    def get_inputs(self) -> list[Any]:
        return []

    def run(self, names: list[str], feed: dict[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        self.log.append(self.cores)
        self.began.release()
        assert self.go_on.acquire(timeout=20)
        return [np.zeros(1, np.float32)]


@pytest.fixture
def lanes(monkeypatch: pytest.MonkeyPatch) -> tuple[Lanes, dict[int, Session], list[int]]:
    """Lanes on two cores, the session of each number of cores, and what ran."""
    log: list[int] = []
    sessions = {2: Session(2, log), 1: Session(1, log)}
    monkeypatch.setattr(codec, "load_onnx", lambda name, role, cores, int8: codec.OnnxHalf(sessions[cores], "hash"))
    return Lanes("any", 2), sessions, log


def test_who_comes_first_has_all_cores_and_who_comes_beside_it_one(
    lanes: tuple[Lanes, dict[int, Session], list[int]],
) -> None:
    decoder, sessions, log = lanes
    assert decoder.count == 2
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(decoder.run, {})
        assert sessions[2].began.acquire(timeout=20)
        second, third = threads.submit(decoder.run, {}), threads.submit(decoder.run, {})
        assert sessions[1].began.acquire(timeout=20)
        assert log == [2, 1]  # the third waits for a lane
        sessions[1].go_on.release()
        assert sessions[1].began.acquire(timeout=20)
        sessions[1].go_on.release()
        sessions[2].go_on.release()
        for each in (first, second, third):
            each.result(20)
        again = threads.submit(decoder.run, {})
        sessions[2].go_on.release()
        again.result(20)
    assert log == [2, 1, 1, 2]


def test_large_pictures_have_all_cores_for_themselves(lanes: tuple[Lanes, dict[int, Session], list[int]]) -> None:
    decoder, sessions, log = lanes
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(decoder.run, {})
        assert sessions[2].began.acquire(timeout=20)
        begun = threading.Event()
        large = threads.submit(decoder.run, {}, True, begun.set)
        assert not begun.wait(0.05), "what waits for a lane has not begun"
        sessions[2].go_on.release()
        first.result(20)
        assert sessions[2].began.acquire(timeout=20)
        assert begun.is_set()
        beside = threads.submit(decoder.run, {})
        assert not beside.done()
        sessions[2].go_on.release(2)
        large.result(20)
        beside.result(20)
    assert log == [2, 2, 2]


def test_a_lane_is_given_back_when_a_decoding_fails(
    lanes: tuple[Lanes, dict[int, Session], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder, sessions, _ = lanes
    monkeypatch.setattr(sessions[2], "run", lambda names, feed: 1 / 0)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            decoder.run({}, large=True)


@pytest.mark.parametrize(
    ("threads", "loaded"),
    [(1, [1]), (2, [2, 1]), (3, [3, 1, 2]), (4, [4, 2, 2]), (0, [0, 2, 3])],
)
def test_no_core_stands_by_while_two_are_decoded(
    monkeypatch: pytest.MonkeyPatch, threads: int, loaded: list[int]
) -> None:
    asked: list[int] = []

    def load(name: str, role: str, cores: int, int8: bool) -> codec.OnnxHalf:
        asked.append(cores)
        return codec.OnnxHalf(Session(cores, []), "hash")

    monkeypatch.setattr(codec, "load_onnx", load)
    monkeypatch.setattr("center.decode.engines.lanes.usable_cores", lambda: 5)
    assert Lanes("any", threads).count == min(len(loaded), 2)
    assert asked == loaded


@pytest.mark.parametrize(("threads", "count"), [(1, 1), (2, 2), (3, 2), (4, 2)])
def test_pictures_are_those_of_one_core(threads: int, count: int) -> None:
    engine = OnnxEngine("small-joint", threads)
    assert engine.in_flight == count
    assert base.places(engine, DEFAULT_SIZE) == base.places(engine, PictureSize(128, 512)) == 1
    assert base.places(engine, PictureSize(144, 480)) == base.places(engine, LARGEST_SIZE) == count
    batch, large = batch_of(2), batch_of(1, PictureSize(144, 480))
    alone = OnnxEngine("small-joint", 1)
    with ThreadPoolExecutor(4) as callers:
        found = list(callers.map(engine.decode, [batch, large, batch, batch]))
    for pictures, of in zip(found, [batch, large, batch, batch], strict=True):
        assert np.allclose(pictures, alone.decode(of), atol=1e-5)
