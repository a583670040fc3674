"""Which engine decodes on this machine, and what it does before the first camera may come."""

import ctypes
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from center.decode.engines.base import Batch, Device, Engine, Kind
from center.decode.engines.onnx_engine import OnnxEngine
from center.decode.engines.openvino_engine import OpenVinoEngine, is_installed
from center.decode.engines.torch_engine import TorchEngine, load_torch
from wire.geometry import CHANNELS, HEIGHT, WIDTH
from wire.runtime.errors import UserError

log = logging.getLogger(__name__)

WORTH: Final = 0.8
"""Of the time of the first engine: what takes longer than this is not worth other last bits in the pictures."""

_TRIES: Final = 5


def load(name: str, kind: Kind, device: Device, threads: int) -> Engine:
    """The engine for this machine. Slow; not for the event loop.

    name     codec: a folder, or the name of a shipped one
    kind     "auto" takes torch where that sees CUDA; else OpenVINO where that is installed and, timed here and now,
             plainly faster than onnxruntime; else onnxruntime
    device   for torch only; "auto" takes CUDA where it is
    threads  CPU threads; 0 takes every core
    raises   UserError, see the engines
    """
    if kind in ("onnxruntime", "openvino") and device == "cuda":
        raise UserError(f"{kind} decodes on the CPU here; for CUDA set engine.kind to torch")
    cuda = device == "cuda" or (device == "auto" and kind in ("auto", "torch") and _sees_cuda())
    if cuda or kind == "torch":
        return TorchEngine(name, "cuda" if cuda else "cpu", threads)
    if kind == "openvino":
        return OpenVinoEngine(name, threads)
    engine = OnnxEngine(name, threads)
    if kind == "auto" and is_installed():
        try:
            return faster([engine, OpenVinoEngine(name, threads)])
        except (ImportError, OSError, UserError) as error:  # installed, but not for this machine
            log.warning("OpenVINO is installed but does not work here: %s", str(error).splitlines()[0])
    return engine


def faster(engines: Sequence[Engine], clock: Callable[[], float] = time.perf_counter) -> Engine:
    """The engine that decodes one pair fastest; the first one unless another is plainly faster.

    clock  gives seconds
    """
    batch = Batch.noise(1)
    for engine in engines:
        engine.decode(batch)
    best = [float("inf")] * len(engines)
    for _ in range(_TRIES):  # in turns, so that a busy moment of the machine slows all alike
        for i, engine in enumerate(engines):
            began = clock()
            engine.decode(batch)
            best[i] = min(best[i], clock() - began)
    quickest = min(range(len(engines)), key=best.__getitem__)
    return engines[quickest if best[quickest] < WORTH * best[0] else 0]


def warm_up(engine: Engine, max_size: int) -> None:
    """Decode every batch size once, so that no camera pays for compilation or first allocations.

    raises  UserError if the engine's pictures have another shape than they should
    """
    for size in range(1, max_size + 1):
        shape = engine.decode(Batch.noise(size)).shape
        if shape != (size, 2, CHANNELS, HEIGHT, WIDTH):
            raise UserError(f"the decoder gave pictures of shape {shape} for {size} pairs; export the codec anew")


def _sees_cuda() -> bool:
    """Whether torch could use CUDA. Asks the driver first: importing torch costs seconds and 200 MB."""
    try:
        ctypes.CDLL("libcuda.so.1")
        return bool(load_torch().cuda.is_available())
    except (OSError, UserError):
        return False
