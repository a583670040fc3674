"""What decodes: one small interface, and the engines behind it."""

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from wire import codec, units
from wire.geometry import CHANNELS, HEIGHT, SYMBOLS, WIDTH
from wire.runtime.errors import UserError, not_installed

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Kind = Literal["auto", "onnxruntime", "torch"]
Device = Literal["auto", "cpu", "cuda"]

_INPUTS: Final = ("symbols", "reliability", "snr_db")


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """B jobs as the decoder takes them; view 0 is left, 1 is right.

    symbols      float32 [B, 2, 5120, 2], equalised I and Q; 0 where a view is absent
    reliability  float32 [B, 2, 5120] in [0, 1]; 0 where a view is absent
    snr_db       float32 [B, 2]; +inf noiseless, -inf absent
    """

    symbols: NDArray[np.float32]
    reliability: NDArray[np.float32]
    snr_db: NDArray[np.float32]

    @staticmethod
    def absent(size: int) -> "Batch":
        """A batch in which nothing has arrived, to be filled."""
        return Batch(
            np.zeros((size, 2, SYMBOLS, 2), np.float32),
            np.zeros((size, 2, SYMBOLS), np.float32),
            np.full((size, 2), units.ABSENT, np.float32),
        )

    def __len__(self) -> int:
        return len(self.snr_db)


class Engine(Protocol):
    """Turns symbols into pictures. Called from one thread only, never from the event loop's.

    name        for people, such as "onnxruntime on cpu"
    codec_hash  of the weights; cameras must encode with the same
    """

    name: str
    codec_hash: str

    def decode(self, batch: Batch) -> NDArray[np.float32]:
        """float32 [B, 2, 3, 128, 256] in [0, 1]; what stands at an absent view has no meaning."""
        ...


class OnnxEngine:
    """The exported decoder on the CPU, without torch."""

    def __init__(self, name: str, threads: int) -> None:
        """raises UserError if the codec cannot be loaded or its decoder has other inputs than ours"""
        half = codec.load_onnx(name, "decoder", threads)
        self.name, self.codec_hash = "onnxruntime on cpu", half.codec_hash
        self._session: InferenceSession = half.session
        inputs = tuple(each.name for each in self._session.get_inputs())
        if sorted(inputs) != sorted(_INPUTS):
            raise UserError(
                f"the decoder of codec '{name}' takes {', '.join(inputs)} instead of {', '.join(_INPUTS)};"
                " export it anew with `vergence-edge export`"
            )

    def decode(self, batch: Batch) -> NDArray[np.float32]:
        feed = {"symbols": batch.symbols, "reliability": batch.reliability, "snr_db": batch.snr_db}
        pictures: NDArray[np.float32] = self._session.run(None, feed)[0]
        return pictures


class TorchEngine:
    """The trained decoder in torch; half precision on CUDA. Unmeasured on CUDA until somebody measures it."""

    def __init__(self, name: str, device: Literal["cpu", "cuda"], threads: int) -> None:
        """raises UserError if torch or the weights are missing, or CUDA is asked for and not there"""
        torch = _torch()
        if device == "cuda" and not torch.cuda.is_available():
            raise UserError("engine.device is cuda, but torch sees no CUDA device; set it to auto or cpu")
        if device == "cpu" and threads:
            torch.set_num_threads(threads)
        try:
            from jscc.model import codec

            self._codec: Any = codec.load(name, device)
        except Exception as error:  # the loader's own errors live in jscc
            raise UserError(f"codec '{name}' cannot be loaded: {str(error).splitlines()[0]}") from error
        self._torch, self._device = torch, device
        self.name, self.codec_hash = f"torch on {device}", str(self._codec.codec_hash)

    def decode(self, batch: Batch) -> NDArray[np.float32]:
        torch = self._torch
        inputs = [self._upload(each) for each in (batch.symbols, batch.reliability, batch.snr_db)]
        half = torch.autocast(self._device, torch.float16, enabled=self._device == "cuda")
        with torch.inference_mode(), half:
            pictures: NDArray[np.float32] = self._codec.decode(*inputs).float().cpu().numpy()
        return pictures

    def _upload(self, array: NDArray[np.float32]) -> Any:
        tensor = self._torch.from_numpy(array)
        return tensor.pin_memory().to("cuda", non_blocking=True) if self._device == "cuda" else tensor


def load(name: str, kind: Kind, device: Device, threads: int) -> Engine:
    """The engine for this machine. Slow; not for the event loop.

    name     codec: a folder, or the name of a shipped one
    kind     "auto" takes torch where that sees CUDA, else onnxruntime
    device   for torch only; "auto" takes CUDA where it is
    threads  CPU threads; 0 takes every core
    raises   UserError, see the engines
    """
    if kind == "onnxruntime" and device == "cuda":
        raise UserError("onnxruntime decodes on the CPU here; for CUDA set engine.kind to torch")
    cuda = device == "cuda" or (device == "auto" and kind != "onnxruntime" and _sees_cuda())
    if cuda or kind == "torch":
        return TorchEngine(name, "cuda" if cuda else "cpu", threads)
    return OnnxEngine(name, threads)


def warm_up(engine: Engine, max_size: int) -> None:
    """Decode every batch size once, so that no camera pays for compilation or first allocations.

    raises  UserError if the engine's pictures have another shape than they should
    """
    for size in range(1, max_size + 1):
        batch = Batch.absent(size)
        batch.snr_db[:] = 0.0
        shape = engine.decode(batch).shape
        if shape != (size, 2, CHANNELS, HEIGHT, WIDTH):
            raise UserError(f"the decoder gave pictures of shape {shape} for {size} pairs; export the codec anew")


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise not_installed("torch", "gpu") from error
    return torch


def _sees_cuda() -> bool:
    """Whether torch could use CUDA. Asks the driver first: importing torch costs seconds and 200 MB."""
    try:
        ctypes.CDLL("libcuda.so.1")
        return bool(_torch().cuda.is_available())
    except (OSError, UserError):
        return False
