"""The torch engine, on a CPU."""

import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import jscc.model
from center.decode.engines import Batch, OnnxEngine, TorchEngine, load, warm_up
from center.decode.engines.torch_engine import GRAPH_AFTER, MOST_SIZES, _Lane, round_up
from center.decode.jobs import knows_sizes
from tests.decoders import batch_of
from wire.geometry import DEFAULT_SIZE, PictureSize
from wire.runtime.errors import UserError


def test_without_torch_the_torch_engine_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match=r"pip install '\.\[gpu\]'"):
        load("small-joint", "torch", "cpu", 1)


def test_torch_decodes_what_its_codec_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    seen: list[Any] = []

    class Codec:
        codec_hash = "00c0ffee00c0ffee"
        model = torch.nn.Conv2d(1, 1, 3)

        def decode(self, *inputs: Any) -> Any:
            seen.extend(inputs)
            return torch.full((len(inputs[0]), 2, 3, inputs[-1].rows, inputs[-1].columns), 0.5)

    models = ModuleType("jscc.model.codec")
    models.load = lambda name, device: Codec()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "jscc.model.codec", models)
    monkeypatch.setattr(jscc.model, "codec", models, raising=False)  # where another test has imported it already
    engine = load("small-joint", "torch", "cpu", 0)
    warm_up(engine, 2)
    assert engine.name == "torch on cpu"
    assert engine.codec_hash == OnnxEngine("small-joint", threads=1).codec_hash  # of the manifest, whatever decodes
    assert np.all(engine.decode(batch_of(2)) == 0.5)
    assert tuple(seen[-4].shape) == (2, 2, 5120, 2)


def test_pictures_stay_when_the_next_batch_is_decoded() -> None:
    pytest.importorskip("torch")
    engine = TorchEngine("small-joint", "cpu", 1)
    first = engine.decode(Batch.noise(1, 0.0))
    kept = first.copy()
    engine.decode(Batch.noise(1, 20.0))
    assert np.array_equal(first, kept)


def test_what_sizes_of_pictures_need_is_kept_for_a_few_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Captured graphs hold their memory. A size that makes another go is not captured at once: that costs four runs."""
    torch = pytest.importorskip("torch")
    runs: list[PictureSize] = []

    def decode(*inputs: Any) -> Any:
        runs.append(inputs[-1])
        return torch.zeros((len(inputs[0]), 2, 3, inputs[-1].rows, inputs[-1].columns))

    engine = TorchEngine("small-joint", "cpu", 1)
    engine._lanes[0]._warm_ups = 1  # of four on CUDA
    monkeypatch.setattr(engine._codec, "decode", decode)
    sizes = [PictureSize(128, 256 + 16 * i) for i in range(MOST_SIZES + 1)]
    for size in sizes[:-1]:
        engine.decode(Batch.noise(1, size=size))
    engine.decode(Batch.noise(2, size=sizes[0]))
    assert runs == [each for size in (*sizes[:-1], sizes[0]) for each in (size, size)]  # the first time runs twice
    runs.clear()
    for size in (sizes[0], sizes[-1], sizes[0], sizes[1]):  # the last one drives out the second, and so on
        assert engine.decode(Batch.noise(1, size=size)).shape[-1] == size.columns
    assert runs == [sizes[0], sizes[-1], sizes[0], sizes[1]]
    assert list(engine._lanes[0]._sizes) == [sizes[3], sizes[-1], sizes[0], sizes[1]]


class Replayed:
    """In the place of CUDA graphs: what was done at first is done again, whatever is asked for later."""

    def __init__(self) -> None:
        self._captured: dict[int, Any] = {}

    def run(self, name: int, work: Any) -> None:
        self._captured.setdefault(name, work)()


def test_a_graph_that_only_knows_its_first_tensors_decodes_every_later_batch() -> None:
    """A graph reads and writes by address: each batch has to be where the first one was, and to be read from there."""
    pytest.importorskip("torch")
    engine, exact = TorchEngine("small-joint", "cpu", 1), OnnxEngine("small-joint", 1)
    lane = engine._lanes[0]
    lane._warm_ups, lane._new_run = 1, lambda: Replayed().run
    other = PictureSize(128, 272)
    for number, (count, size) in enumerate([(1, DEFAULT_SIZE), (2, DEFAULT_SIZE), (1, other), (1, DEFAULT_SIZE)] * 2):
        batch = Batch.noise(count, 2.0 * number, size)
        batch.symbols[:] *= 1.0 - 0.05 * number
        np.testing.assert_allclose(engine.decode(batch), np.clip(exact.decode(batch), 0.0, 1.0), atol=1e-3)


def test_on_a_cpu_nothing_runs_twice_and_one_number_of_pairs_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of 1 to 32 pairs would keep half a gigabyte of tensors that no graph needs."""
    torch = pytest.importorskip("torch")
    runs: list[int] = []

    def decode(*inputs: Any) -> Any:
        runs.append(len(inputs[0]))
        return torch.zeros((len(inputs[0]), 2, 3, inputs[-1].rows, inputs[-1].columns))

    engine = TorchEngine("small-joint", "cpu", 1)
    monkeypatch.setattr(engine._codec, "decode", decode)
    for count in (1, 3, 2, 2):
        assert len(engine.decode(Batch.noise(count))) == count
    assert runs == [1, 3, 2, 2]
    assert [list(sized.slots) for sized in engine._lanes[0]._sizes.values()] == [[2]]


@pytest.mark.parametrize(("size", "rounded"), [(1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (8, 8), (9, 16)])
def test_batches_are_filled_up_to_powers_of_two(size: int, rounded: int) -> None:
    assert round_up(size) == rounded


def test_a_batch_that_is_filled_up_gives_the_pictures_of_the_batch() -> None:
    """As on CUDA, where a slot is larger than the batch."""
    pytest.importorskip("torch")
    engine = TorchEngine("small-joint", "cpu", 1)
    engine._fill_up = True
    filled = engine.decode(Batch.noise(3))
    assert filled.shape == (3, 2, 3, 128, 256)
    np.testing.assert_allclose(filled, OnnxEngine("small-joint", 1).decode(Batch.noise(3)), atol=1e-3)


def two_lanes(monkeypatch: pytest.MonkeyPatch, decode: Any) -> TorchEngine:
    """An engine as on CUDA, with tensors that stay."""
    engine = TorchEngine("small-joint", "cpu", 1)
    torch: Any = pytest.importorskip("torch")
    monkeypatch.setattr(engine, "_decode", decode)
    engine._lanes = [_Lane(torch, "cpu", decode) for _ in range(2)]
    for lane in engine._lanes:
        lane._warm_ups = 1
    engine._free = list(engine._lanes)
    return engine


def test_two_batches_are_decoded_at_once_each_into_pictures_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    together = threading.Barrier(2)

    def decode(symbols: Any, reliability: Any, snr_db: Any, size: PictureSize) -> Any:
        if float(snr_db[0, 0]) != WARM:
            together.wait(20)  # a third could not be meant: the first alone would stand here until it breaks
        return torch.full((1, 2, 3, size.rows, size.columns), float(snr_db[0, 0]))

    engine = two_lanes(monkeypatch, decode)
    engine.decode(Batch.noise(1, WARM))
    with ThreadPoolExecutor(2) as pool:
        for first, second in ((1.0, 2.0), (3.0, 4.0), (5.0, 6.0)):
            pictures = list(pool.map(lambda snr_db: engine.decode(Batch.noise(1, snr_db)), (first, second)))
            assert [float(each[0, 0, 0, 0, 0]) for each in pictures] == [first, second]


class Graphs:
    """In the place of `GraphRunner`: work is captured when it comes for the fourth time. notes: what was, and whether
    all lanes were free then"""

    def __init__(self, engine: TorchEngine, notes: list[bool]) -> None:
        self.engine, self.notes, self.runs = engine, notes, Counter[int]()

    def run(self, name: int, work: Any) -> None:
        self.runs[name] += 1
        if self.runs[name] == 4:
            self.notes.append(self.engine._all_are_free())
        work()


def with_graphs(monkeypatch: pytest.MonkeyPatch) -> tuple[TorchEngine, list[bool]]:
    """Two lanes that capture, and the notes of it."""
    torch = pytest.importorskip("torch")

    def decode(symbols: Any, reliability: Any, snr_db: Any, size: PictureSize) -> Any:
        return torch.zeros((len(symbols), 2, 3, size.rows, size.columns))

    engine, notes = two_lanes(monkeypatch, decode), list[bool]()
    for lane in engine._lanes:
        lane._warm_ups, lane._new_run = 4, lambda: Graphs(engine, notes).run
    return engine, notes


SIZES = [PictureSize(128, 256 + 16 * i) for i in range(MOST_SIZES + 1)]


def test_a_size_that_drove_another_out_has_its_graph_captured_once_it_stays_and_while_no_lane_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was captured in its fourth run, beside whatever the other lane was computing."""
    engine, captured = with_graphs(monkeypatch)
    for size in SIZES[:-1]:
        engine.decode(Batch.noise(1, size=size))
    assert captured == [True] * 2 * MOST_SIZES, "in each lane"
    captured.clear()
    for _ in range(GRAPH_AFTER):
        engine.decode(Batch.noise(1, size=SIZES[-1]))
    assert captured == []
    engine.decode(Batch.noise(1, size=SIZES[-1]))
    assert captured == [True, True]
    for _ in range(3 * GRAPH_AFTER):
        engine.decode(Batch.noise(1, size=SIZES[-1]))
    assert captured == [True, True]


def test_sizes_that_drive_each_other_out_are_not_captured_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, captured = with_graphs(monkeypatch)
    for _ in range(2 * GRAPH_AFTER):
        for size in SIZES:
            engine.decode(Batch.noise(1, size=size))
    assert captured == [True] * 2 * MOST_SIZES


def test_the_size_that_is_tried_at_the_start_takes_no_other_s_place(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, captured = with_graphs(monkeypatch)
    engine.decode(Batch.noise(1))
    assert knows_sizes(engine)
    captured.clear()
    for size in (PictureSize(256, 512), PictureSize(192, 384), PictureSize(144, 320)):
        engine.decode(Batch.noise(1, size=size))
    assert captured == [True] * 2 * 3, "each at once"


WARM = 10.0


def test_new_tensors_are_made_while_no_lane_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph can be captured only while the device does nothing else, and then in every lane."""
    torch = pytest.importorskip("torch")
    began, finish = threading.Event(), threading.Event()
    runs: list[int] = []

    def decode(symbols: Any, reliability: Any, snr_db: Any, size: PictureSize) -> Any:
        if len(symbols) == 1 and float(snr_db[0, 0]) != WARM:
            began.set()
            assert finish.wait(20)
        runs.append(len(symbols))
        return torch.zeros((len(symbols), 2, 3, size.rows, size.columns))

    engine = two_lanes(monkeypatch, decode)
    engine.decode(Batch.noise(1, WARM))
    runs.clear()
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(engine.decode, Batch.noise(1, 0.0))
        assert began.wait(20)
        of_another_size = pool.submit(engine.decode, Batch.noise(4))
        time.sleep(0.2)
        assert runs == [], "the other lane is free, and is not used for what nobody has captured"
        finish.set()
        slow.result(20)
        of_another_size.result(20)
    assert runs == [1, 4, 4, 4], "one run to warm up each lane, and the batch itself"
    assert all(lane.has(DEFAULT_SIZE, 4) for lane in engine._lanes)
