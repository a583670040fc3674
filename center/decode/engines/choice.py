"""Which engine decodes on this machine, and what it does before the first camera may come."""

import ctypes
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from center.decode.engines.base import MOST_IN_FLIGHT, Batch, Device, Engine, Kind, in_flight
from center.decode.engines.onnx_engine import OnnxEngine
from center.decode.engines.openvino_engine import OpenVinoEngine, is_installed
from center.decode.engines.ray_engine import connect
from center.decode.engines.torch_engine import TorchEngine, load_torch
from wire import codec
from wire.geometry import CHANNELS, HEIGHT, WIDTH
from wire.runtime.errors import UserError, one_line

log = logging.getLogger(__name__)

WORTH: Final = 0.8
"""Of the time of the first engine: what takes longer than this is not worth other last bits in the pictures."""

NEAR: Final = 3e-4
"""Mean squared distance of pictures in [0, 1] that rounding may make, on symbols of noise: there it is larger than on
pictures."""

_TRIES: Final = 3
_LONGEST_REASON: Final = 200


def load(name: str, kind: Kind, device: Device, threads: int, address: str = "auto") -> Engine:
    """The engine for this machine. Slow; not for the event loop.

    name     codec: a folder, or the name of a shipped one
    kind     "auto" takes torch where that sees CUDA, and decodes there as it should; else what is fastest here and now
             of onnxruntime with 32-bit numbers, with 8-bit integers where the codec has them, and OpenVINO where that
             is installed
    device   for torch only; "auto" takes CUDA where it is
    threads  CPU threads; 0 takes every core
    address  of the Ray cluster, for "ray" only, whose replicas choose engine, device and threads for themselves
    raises   UserError, see the engines
    """
    if kind == "ray":
        return connect(name, address)
    if device == "cuda" and kind not in ("auto", "torch"):
        raise UserError(f"{kind} decodes on the CPU here; for CUDA set engine.kind to torch")
    cuda = device == "cuda" or (device == "auto" and kind in ("auto", "torch") and _sees_cuda())
    if kind == "torch" or device == "cuda":
        return TorchEngine(name, "cuda" if cuda else "cpu", threads)
    if kind == "openvino":
        return OpenVinoEngine(name, threads)
    if kind == "auto":
        return (_on_cuda(name, threads) if cuda else None) or fastest(_on_cpu(name, threads))
    return OnnxEngine(name, threads, int8=kind == "onnxruntime-i8")


def fastest(engines: Sequence[Engine], clock: Callable[[], float] = time.perf_counter) -> Engine:
    """The engine that decodes fastest, of those whose pictures are nearly the first one's: by the time of a pair alone,
    and the time for each pair when there are as many at once as the engine takes; the two are added.

    The first one stays unless another is plainly faster. Some old CPUs overflow in sums of 8-bit products: their
    pictures are not near.

    clock  gives seconds
    """
    batch = Batch.noise(1)
    exact = engines[0].decode(batch)
    near = [engines[0], *(each for each in engines[1:] if _is_near(each, batch, exact))]
    alone, among_others = [float("inf")] * len(near), [float("inf")] * len(near)
    with ThreadPoolExecutor(MOST_IN_FLIGHT) as threads:
        for _ in range(_TRIES):  # in turns, so that a busy moment of the machine slows all alike
            for i, engine in enumerate(near):
                began = clock()
                engine.decode(batch)
                alone[i] = min(alone[i], clock() - began)
                began, count = clock(), in_flight(engine)
                list(threads.map(engine.decode, [batch] * count))
                among_others[i] = min(among_others[i], (clock() - began) / count)
    times = [sum(each) for each in zip(alone, among_others, strict=True)]
    quickest = min(range(len(near)), key=times.__getitem__)
    return near[quickest if times[quickest] < WORTH * times[0] else 0]


def _is_near(engine: Engine, batch: Batch, exact: NDArray[np.float32]) -> bool:
    """Whether an engine decodes on this machine, and to nearly these pictures."""
    try:
        near = bool(np.mean((engine.decode(batch) - exact) ** 2) <= NEAR)
    except Exception as error:  # a library that loads may fail at work; there is another
        _left_out(engine.name, error)
        return False
    if not near:
        log.warning("%s is left out: on this machine its pictures are not those of onnxruntime", engine.name)
    return near


def _left_out(who: str, error: Exception) -> None:
    log.warning("%s is left out: %s", who, one_line(str(error) or type(error).__name__, _LONGEST_REASON))


def _on_cuda(name: str, threads: int) -> Engine | None:
    """torch on the GPU; None where that does not work or its pictures are not nearly onnxruntime's."""
    try:
        engine = TorchEngine(name, "cuda", threads)
    except Exception as error:  # of the driver too: too old, or for another GPU
        _left_out("torch on cuda", error)
        return None
    batch = Batch.noise(1)
    return engine if _is_near(engine, batch, OnnxEngine(name, threads).decode(batch)) else None


def _on_cpu(name: str, threads: int) -> list[Engine]:
    """onnxruntime, and the engines that are worth a trial beside it: those that are there, and load. All at once:
    OpenVINO compiles for as long as the others take together.

    raises  UserError as OnnxEngine does
    """
    offers: list[tuple[bool, Callable[[], Engine]]] = [
        ((codec.folder(name) / codec.INT8_FILE).is_file(), lambda: OnnxEngine(name, threads, int8=True)),
        (is_installed(), lambda: OpenVinoEngine(name, threads)),
    ]
    with ThreadPoolExecutor(len(offers)) as loading:
        others = [loading.submit(make) for there, make in offers if there]
        engines: list[Engine] = [OnnxEngine(name, threads)]
        for other in others:
            try:
                engines.append(other.result())
            except (ImportError, OSError, UserError) as error:
                _left_out("an engine that is installed", error)
    return engines


def warm_up(engine: Engine, most: int) -> None:
    """Decode every batch size once, so that no camera pays for compilation or first allocations; of 128x256.

    most    pairs in a batch
    raises  UserError if the engine has pictures of another shape than they should, or no numbers in them
    """
    for count in range(1, most + 1):
        pictures = engine.decode(Batch.noise(count))
        if pictures.shape != (count, 2, CHANNELS, HEIGHT, WIDTH):
            raise UserError(
                f"the decoder gave pictures of shape {pictures.shape} for {count} pairs; export the codec anew"
            )
        if not np.isfinite(pictures).all():
            raise UserError(f"{engine.name} gave pictures that are no numbers; set engine.kind to onnxruntime")


def _sees_cuda() -> bool:
    """Whether torch could use CUDA. Asks the driver first: importing torch costs seconds and 200 MB."""
    try:
        ctypes.CDLL("libcuda.so.1")
        return bool(load_torch().cuda.is_available())
    except (OSError, UserError):
        return False
