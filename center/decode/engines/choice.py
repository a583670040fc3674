"""Which engine decodes on this machine, and what it does before the first camera may come."""

import ctypes
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np

from center.decode.engines.base import MOST_IN_FLIGHT, Batch, Device, Engine, Kind, in_flight
from center.decode.engines.onnx_engine import OnnxEngine
from center.decode.engines.openvino_engine import OpenVinoEngine, is_installed
from center.decode.engines.ray_engine import connect
from center.decode.engines.torch_engine import TorchEngine, load_torch
from wire import codec
from wire.geometry import CHANNELS, DEFAULT_SIZE, PictureSize
from wire.runtime.errors import UserError

log = logging.getLogger(__name__)

WORTH: Final = 0.8
"""Of the time of the first engine: what takes longer than this is not worth other last bits in the pictures."""

NEAR: Final = 3e-4
"""Mean squared distance of pictures in [0, 1] that rounding may make, on symbols of noise: there it is larger than on
pictures."""

_TRIES: Final = 3


def load(name: str, kind: Kind, device: Device, threads: int, address: str = "auto") -> Engine:
    """The engine for this machine. Slow; not for the event loop.

    name     codec: a folder, or the name of a shipped one
    kind     "auto" takes torch where that sees CUDA; else what is fastest here and now of onnxruntime with 32-bit
             numbers, with 8-bit integers where the codec has them, and OpenVINO where that is installed
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
    if cuda or kind == "torch":
        return TorchEngine(name, "cuda" if cuda else "cpu", threads)
    if kind == "openvino":
        return OpenVinoEngine(name, threads)
    if kind == "auto":
        return fastest([OnnxEngine(name, threads), *_others(name, threads)])
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
    near = [each for each in engines if np.mean((each.decode(batch) - exact) ** 2) <= NEAR]
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


def _others(name: str, threads: int) -> Iterator[Engine]:
    """The engines that are worth a trial beside the first: those that are there, and work."""
    offers: list[tuple[bool, Callable[[], Engine]]] = [
        ((codec.folder(name) / codec.INT8_FILE).is_file(), lambda: OnnxEngine(name, threads, int8=True)),
        (is_installed(), lambda: OpenVinoEngine(name, threads)),
    ]
    for there, make in offers:
        if there:
            try:
                yield make()
            except (ImportError, OSError, UserError) as error:
                log.warning("an engine that is installed does not work here: %s", str(error).splitlines()[0])


def warm_up(engine: Engine, most: int, largest: PictureSize = DEFAULT_SIZE) -> None:
    """Decode every batch size once, so that no camera pays for compilation or first allocations.

    most     pairs in a batch
    largest  size of pictures that may come, of which one pair is decoded; the batches are of 128x256
    raises   UserError if the engine knows no pictures of this size, or has pictures of another shape than they should
    """
    batches = [(count, DEFAULT_SIZE) for count in range(1, most + 1)]
    for count, size in [*batches, *([(1, largest)] if largest != DEFAULT_SIZE else [])]:
        shape = engine.decode(Batch.noise(count, size=size)).shape
        if shape != (count, 2, CHANNELS, size.rows, size.columns):
            raise UserError(f"the decoder gave pictures of shape {shape} for {count} pairs; export the codec anew")


def _sees_cuda() -> bool:
    """Whether torch could use CUDA. Asks the driver first: importing torch costs seconds and 200 MB."""
    try:
        ctypes.CDLL("libcuda.so.1")
        return bool(load_torch().cuda.is_available())
    except (OSError, UserError):
        return False
