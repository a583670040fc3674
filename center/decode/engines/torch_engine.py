"""The trained decoder in torch: on CUDA in half precision and as CUDA graphs, elsewhere as it stands.

No GPU has measured this module yet. `vergence bench engine` does, and it runs the same on a CPU, without graphs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from center.decode.engines.base import Batch
from wire import codec
from wire.geometry import CHANNELS, HEIGHT, WIDTH
from wire.runtime.errors import UserError, not_installed


class TorchEngine:
    """Batches are filled up to a power of two on CUDA, so that few graphs serve every size."""

    def __init__(self, name: str, device: Literal["cpu", "cuda"], threads: int) -> None:
        """raises UserError if torch or the weights are missing, or CUDA is asked for and not there"""
        torch: Any = load_torch()
        if device == "cuda" and not torch.cuda.is_available():
            raise UserError("engine.device is cuda, but torch sees no CUDA device; set it to auto or cpu")
        if device == "cpu" and threads:
            torch.set_num_threads(threads)
        try:
            from jscc.model import checkpoint
            from jscc.model import codec as torch_codec

            weights = checkpoint.resolve(name)
            _, codec_hash = codec.verified(weights)
            self._codec: Any = torch_codec.load(weights, device)
        except UserError:
            raise
        except Exception as error:  # the loader's own errors live in jscc
            raise UserError(f"codec '{name}' cannot be loaded: {str(error).splitlines()[0]}") from error
        model: Any = self._codec.model
        model.to(memory_format=torch.channels_last)
        self._torch, self._device = torch, device
        self._slots: dict[int, _Slot] = {}
        self._run: Callable[[int, Callable[[], object]], object] = lambda _, work: work()
        self._warm_ups = 1
        if device == "cuda":
            from jscc.train.cuda_graph import WARM_UPS, GraphRunner

            self._run, self._warm_ups = GraphRunner().run, WARM_UPS + 1
        self.name, self.codec_hash = f"torch on {device}", codec_hash or str(self._codec.codec_hash)

    def decode(self, batch: Batch) -> NDArray[np.float32]:
        size = len(batch)
        slot = self._slot(round_up(size) if self._device == "cuda" else size)
        slot.fill(batch)
        self._launch(slot)
        if self._device == "cuda":
            self._torch.cuda.synchronize()
        return slot.pictures.numpy()[:size].copy()  # type: ignore[no-any-return]

    def _slot(self, size: int) -> "_Slot":
        """The tensors of a size; those of a new one are made, and its graph captured."""
        if size not in self._slots:
            self._slots[size] = slot = _Slot.make(self._torch, size, self._device)
            for _ in range(self._warm_ups):
                self._launch(slot)
        return self._slots[size]

    def _launch(self, slot: "_Slot") -> None:
        torch = self._torch
        half = torch.autocast(self._device, torch.float16, enabled=self._device == "cuda", cache_enabled=False)

        def work() -> None:
            for host, device in zip(slot.inputs, slot.uploaded, strict=True):
                device.copy_(host, non_blocking=True)
            slot.pictures.copy_(self._codec.decode(*slot.uploaded), non_blocking=True)

        with torch.inference_mode(), half:
            self._run(slot.size, work)


@dataclass(frozen=True, slots=True, eq=False)
class _Slot:
    """Tensors of one batch size that stay where they are: a graph reads and writes them by address.

    inputs    on the host, pinned if there is a device: symbols, reliability, snr_db as in `Batch`
    uploaded  the same on the device; on a CPU the very same
    pictures  on the host, pinned likewise: float32 [size, 2, 3, 128, 256]
    """

    size: int
    inputs: tuple[Any, ...]
    uploaded: tuple[Any, ...]
    pictures: Any

    @staticmethod
    def make(torch: Any, size: int, device: str) -> "_Slot":
        cuda = device == "cuda"
        inputs = tuple(torch.from_numpy(each) for each in Batch.noise(size).feed().values())
        inputs = tuple(each.pin_memory() for each in inputs) if cuda else inputs
        uploaded = tuple(each.to(device) for each in inputs)
        pictures = torch.empty((size, 2, CHANNELS, HEIGHT, WIDTH), dtype=torch.float32, pin_memory=cuda)
        return _Slot(size, inputs, uploaded, pictures)

    def fill(self, batch: Batch) -> None:
        """Put a batch that may be smaller into the inputs; what is left over keeps what was there."""
        for host, values in zip(self.inputs, batch.feed().values(), strict=True):
            host.numpy()[: len(batch)] = values


def round_up(size: int) -> int:
    """The power of two that a batch is filled up to."""
    return 1 << (size - 1).bit_length()


def load_torch() -> Any:
    """The module. raises UserError if it is not installed"""
    try:
        import torch
    except ImportError as error:
        raise not_installed("torch", "gpu") from error
    return torch
