"""Which engine decodes."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from center.decode.engines import Batch, Engine, OnnxEngine, load, warm_up
from center.decode.engines.choice import WORTH, fastest
from center.decode.engines.openvino_engine import is_installed
from tests.decoders import write_decoder
from wire.geometry import DEFAULT_SIZE, PictureSize
from wire.runtime.errors import UserError


@pytest.fixture
def no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("center.decode.engines.choice._sees_cuda", lambda: False)


class Timed:
    """An engine that takes so long by a clock of ours."""

    codec_hash = ""

    def __init__(self, name: str, seconds: list[float], clock: "Clock", grey: float = 0.0) -> None:
        self.name, self._seconds, self._clock, self._grey = name, seconds, clock, grey
        self.batches: list[tuple[int, PictureSize]] = []

    def decode(self, batch: Batch) -> NDArray[np.float32]:
        self._clock.now += self._seconds.pop(0) if len(self._seconds) > 1 else self._seconds[0]
        self.batches.append((len(batch), batch.size))
        return np.full((len(batch), 2, 3, batch.size.rows, batch.size.columns), self._grey, np.float32)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def quickest(first: list[float], second: list[float], grey: float = 0.0) -> str:
    clock = Clock()
    engines: list[Engine] = [Timed("first", first, clock), Timed("second", second, clock, grey)]
    return fastest(engines, clock).name


def test_the_plainly_faster_engine_is_taken() -> None:
    assert quickest([1.0], [0.5]) == "second"
    assert quickest([0.5], [1.0]) == "first"


def test_an_engine_that_is_hardly_faster_is_not_worth_other_pictures() -> None:
    assert quickest([1.0], [WORTH + 0.01]) == "first"
    assert quickest([1.0], [WORTH - 0.01]) == "second"


def test_what_an_engine_does_beside_itself_counts_as_much_as_what_it_does_alone() -> None:
    assert quickest([1.0], [9.0, 0.9, 0.3, 0.9, 0.3, 0.9, 0.3]) == "second"
    assert quickest([1.0], [9.0, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]) == "first"


def test_the_first_call_and_busy_moments_do_not_count() -> None:
    assert quickest([1.0], [9.0, 0.5, 7.0, 7.0, 0.5, 7.0]) == "second"
    assert quickest([0.1, 0.1, 9.0, 9.0, 1.0, 1.0, 9.0, 9.0], [0.9]) == "first"


def test_other_pictures_are_no_price_for_speed() -> None:
    assert quickest([1.0], [0.1], grey=0.01) == "second"
    assert quickest([1.0], [0.1], grey=0.03) == "first"
    assert quickest([1.0], [0.1], grey=np.nan) == "first"


class Broken(Timed):
    """Loads, and fails at work."""

    def decode(self, batch: Batch) -> NDArray[np.float32]:
        raise RuntimeError("illegal instruction\nat some place")


def test_an_engine_that_fails_at_its_trial_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    engines: list[Engine] = [Timed("first", [1.0], clock), Broken("second", [0.1], clock)]
    assert fastest(engines, clock).name == "first"
    assert "second is left out: illegal instruction\\nat some place" in caplog.text


class Gpu(OnnxEngine):
    """What onnxruntime paints, in the place of torch on a GPU. spoils: what is added to its pictures"""

    spoils = 0.0

    def __init__(self, name: str, device: str, threads: int) -> None:
        super().__init__(name, threads)
        self.name = f"torch on {device}"

    def decode(self, batch: Batch, begun: Callable[[], object] = lambda: None) -> NDArray[np.float32]:
        return super().decode(batch, begun) + np.float32(self.spoils)


class BadGpu(Gpu):
    spoils = float("nan")


class OldGpu(Gpu):
    def decode(self, batch: Batch, begun: Callable[[], object] = lambda: None) -> NDArray[np.float32]:
        raise RuntimeError("no kernel image is available for execution on the device")


class NoWeights(Gpu):
    def __init__(self, name: str, device: str, threads: int) -> None:
        raise UserError("model.safetensors does not exist")


@pytest.mark.parametrize(
    ("gpu", "taken", "told"),
    [
        (Gpu, "torch on cuda", ""),
        (BadGpu, "onnxruntime on cpu", "torch on cuda is left out: on this machine its pictures are not those of"),
        (OldGpu, "onnxruntime on cpu", "torch on cuda is left out: no kernel image is available"),
        (NoWeights, "onnxruntime on cpu", "torch on cuda is left out: model.safetensors does not exist"),
    ],
)
def test_auto_takes_a_gpu_that_decodes_as_it_should(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, gpu: Any, taken: str, told: str
) -> None:
    monkeypatch.setattr("center.decode.engines.choice._sees_cuda", lambda: True)
    monkeypatch.setattr("center.decode.engines.choice.is_installed", lambda: False)
    monkeypatch.setattr("center.decode.engines.choice.TorchEngine", gpu)
    codec = write_decoder(tmp_path)
    assert load(codec, "auto", "auto", 1).name == taken
    assert told in caplog.text
    if gpu is OldGpu:  # who asks for it by name is not given another
        with pytest.raises(RuntimeError, match="no kernel image"):
            load(codec, "auto", "cuda", 1).decode(Batch.noise(1))


@pytest.mark.usefixtures("no_cuda")
def test_without_openvino_auto_takes_onnxruntime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("center.decode.engines.choice.is_installed", lambda: False)
    assert load(write_decoder(tmp_path), "auto", "auto", 1).name == "onnxruntime on cpu"


@pytest.mark.usefixtures("no_cuda")
def test_auto_tries_all_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def last(engines: list[Engine]) -> Engine:
        tried.extend(engine.name.partition(" ")[0] for engine in engines)
        return engines[-1]

    monkeypatch.setattr("center.decode.engines.choice.fastest", last)
    engine = load("small-joint", "auto", "auto", 1)
    assert tried == ["onnxruntime", "onnxruntime-i8", *(["openvino"] if is_installed() else [])]
    assert engine.name.startswith(tried[-1])


@pytest.mark.usefixtures("no_cuda")
def test_an_openvino_that_does_not_work_here_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(name: str, threads: int) -> Engine:
        raise ImportError("libsomething.so: cannot open shared object file")

    monkeypatch.setattr("center.decode.engines.choice.is_installed", lambda: True)
    monkeypatch.setattr("center.decode.engines.choice.OpenVinoEngine", broken)
    assert load(write_decoder(tmp_path), "auto", "auto", 1).name == "onnxruntime on cpu"
    assert "libsomething.so" in caplog.text


@pytest.mark.parametrize(
    ("kind", "device", "line"),
    [
        ("onnxruntime", "cuda", "onnxruntime decodes on the CPU here; for CUDA set engine.kind to torch"),
        ("onnxruntime-i8", "cuda", "onnxruntime-i8 decodes on the CPU here; for CUDA set engine.kind to torch"),
        ("openvino", "cuda", "openvino decodes on the CPU here; for CUDA set engine.kind to torch"),
        ("torch", "cuda", "torch sees no CUDA device"),
    ],
)
def test_an_engine_that_cannot_be_had_says_what_to_do(kind: Any, device: Any, line: str) -> None:
    torch = ModuleType("torch")
    torch.cuda = SimpleNamespace(is_available=lambda: False)  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "torch", torch)
        with pytest.raises(UserError, match=line):
            load("small-joint", kind, device, 1)


def test_every_size_of_batches_is_decoded_before_any_camera_comes() -> None:
    engine = Timed("any", [0.0], Clock())
    warm_up(engine, 3)
    assert engine.batches == [(1, DEFAULT_SIZE), (2, DEFAULT_SIZE), (3, DEFAULT_SIZE)]


def test_a_decoder_of_one_size_says_so(tmp_path: Path) -> None:
    size = PictureSize(144, 320)
    with pytest.raises(UserError, match=f"knows pictures of 128x256 only, and {size} is asked for; export it anew"):
        OnnxEngine(write_decoder(tmp_path, flat=True), threads=1).decode(Batch.noise(1, size=size))


def test_a_decoder_that_paints_no_numbers_does_not_get_warm() -> None:
    """Half precision may overflow, on a GPU that nobody has tried."""
    with pytest.raises(UserError, match=r"^any gave pictures that are no numbers; set engine\.kind to onnxruntime$"):
        warm_up(Timed("any", [0.0], Clock(), grey=np.nan), 1)


def test_a_decoder_of_other_pictures_does_not_get_warm(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"pictures of shape \(1, 2, 3, 64, 256\)"):
        warm_up(OnnxEngine(write_decoder(tmp_path, rows=4), threads=1), 2)
