"""The trained decoder in torch: on CUDA in half precision and as CUDA graphs, elsewhere as it stands.

No GPU has measured this module yet. `vergence bench engine` does, and it runs the same on a CPU, without graphs.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from center.decode.engines.base import Batch
from wire import codec
from wire.geometry import CHANNELS, PictureSize
from wire.runtime.errors import UserError, not_installed

log = logging.getLogger(__name__)

MOST_SIZES: Final = 4
"""Sizes of pictures whose tensors and graphs are kept: a captured graph holds on to all of its device memory."""

Run = Callable[[int, Callable[[], object]], object]


class TorchEngine:
    """Batches are filled up to a power of two on CUDA, so that few graphs serve every number of pairs.

    The graphs of a size of pictures go when `MOST_SIZES` others were used since.
    """

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
        self._sizes: OrderedDict[PictureSize, _Sized] = OrderedDict()
        self._new_run: Callable[[], Run] = lambda: lambda _, work: work()
        self._warm_ups = 0  # of a new slot, until its graph is captured; none where there are no graphs
        if device == "cuda":
            from jscc.train.cuda_graph import WARM_UPS, GraphRunner

            self._new_run, self._warm_ups = lambda: GraphRunner(log.warning).run, WARM_UPS + 1
        self.name, self.codec_hash = f"torch on {device}", codec_hash or str(self._codec.codec_hash)

    def decode(self, batch: Batch) -> NDArray[np.float32]:
        count = len(batch)
        slot = self._slot(batch.size, round_up(count) if self._device == "cuda" else count)
        slot.fill(batch)
        self._launch(slot)
        if self._device == "cuda":
            self._torch.cuda.synchronize()
        return slot.pictures.numpy()[:count].copy()  # type: ignore[no-any-return]

    def _slot(self, size: PictureSize, count: int) -> "_Slot":
        """The tensors of so many pairs of a size; new ones are made, and their graph captured.

        Where sizes have to make room for one another, a graph is captured only when its size has come a few times in a
        row: capturing takes as long as several runs.
        """
        if size not in self._sizes:
            crowded = len(self._sizes) == MOST_SIZES
            if crowded:
                self._sizes.popitem(last=False)
            self._sizes[size] = _Sized(self._new_run(), 0 if crowded else self._warm_ups)
        self._sizes.move_to_end(size)
        sized = self._sizes[size]
        if count not in sized.slots:
            if not self._warm_ups:  # no graph reads them by address: they need not stay
                sized.slots.clear()
            sized.slots[count] = slot = _Slot.make(self._torch, size, count, self._device)
            for _ in range(sized.warm_ups):
                self._launch(slot)
        return sized.slots[count]

    def _launch(self, slot: "_Slot") -> None:
        torch = self._torch
        half = torch.autocast(self._device, torch.float16, enabled=self._device == "cuda", cache_enabled=False)

        def work() -> None:
            for host, device in zip(slot.inputs, slot.uploaded, strict=True):
                device.copy_(host, non_blocking=True)
            slot.pictures.copy_(self._codec.decode(*slot.uploaded, slot.size), non_blocking=True)

        with torch.inference_mode(), half:
            self._sizes[slot.size].run(slot.count, work)


@dataclass(frozen=True, slots=True, eq=False)
class _Sized:
    """What is kept for a size of pictures. run: how its work is run; warm_ups: of a new slot; slots: by their pairs, on
    a CPU of the last number only."""

    run: Run
    warm_ups: int
    slots: dict[int, "_Slot"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class _Slot:
    """Tensors of one batch size that stay where they are: a graph reads and writes them by address.

    count     pairs
    inputs    on the host, pinned if there is a device: symbols, reliability, snr_db as in `Batch`
    uploaded  the same on the device; on a CPU the very same
    pictures  on the host, pinned likewise: float32 [count, 2, 3, rows, columns]
    """

    size: PictureSize
    count: int
    inputs: tuple[Any, ...]
    uploaded: tuple[Any, ...]
    pictures: Any

    @staticmethod
    def make(torch: Any, size: PictureSize, count: int, device: str) -> "_Slot":
        cuda = device == "cuda"
        inputs = tuple(torch.from_numpy(each) for each in _arrays(Batch.noise(count, size=size)))
        inputs = tuple(each.pin_memory() for each in inputs) if cuda else inputs
        uploaded = tuple(each.to(device) for each in inputs)
        shape = (count, 2, CHANNELS, size.rows, size.columns)
        pictures = torch.empty(shape, dtype=torch.float32, pin_memory=cuda)
        return _Slot(size, count, inputs, uploaded, pictures)

    def fill(self, batch: Batch) -> None:
        """Put a batch that may be smaller into the inputs; what is left over keeps what was there."""
        for host, values in zip(self.inputs, _arrays(batch), strict=True):
            host.numpy()[: len(batch)] = values


def _arrays(batch: Batch) -> tuple[NDArray[np.float32], ...]:
    return batch.symbols, batch.reliability, batch.snr_db


def round_up(count: int) -> int:
    """The power of two that a batch is filled up to."""
    return 1 << (count - 1).bit_length()


def load_torch() -> Any:
    """The module. raises UserError if it is not installed"""
    try:
        import torch
    except ImportError as error:
        raise not_installed("torch", "gpu") from error
    return torch
