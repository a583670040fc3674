"""The trained decoder in torch: on CUDA in half precision, as CUDA graphs, two batches at once; elsewhere as it stands.

No GPU has measured this module yet. `vergence bench engine` does, and it runs the same on a CPU, without graphs.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
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

GRAPH_AFTER: Final = 8
"""Runs of a size that drove another one out before its graph is captured: capturing takes four in each lane, while all
stand still. Of more sizes than are kept, in turns, each would be captured anew whenever it comes."""

IN_FLIGHT_ON_CUDA: Final = 2
"""Batches at once: while one is computed, the host fills the pinned memory of the next and reads that of the last."""

Run = Callable[[int, Callable[[], object]], object]


class TorchEngine:
    """Batches are filled up to a power of two on CUDA, so that few graphs serve every number of pairs.

    The graphs of a size of pictures go when `MOST_SIZES` others were used since. in_flight: batches at once, see
    `engines.base.in_flight`.
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
        self.name, self.codec_hash = f"torch on {device}", codec_hash or str(self._codec.codec_hash)
        self.in_flight = IN_FLIGHT_ON_CUDA if device == "cuda" else 1
        self._fill_up = device == "cuda"
        self._lanes = [_Lane(torch, device, self._decode) for _ in range(self.in_flight)]
        self._free = list(self._lanes)
        self._changed = threading.Condition()

    def decode(self, batch: Batch) -> NDArray[np.float32]:
        count = len(batch)
        with self._lane(batch.size, round_up(count) if self._fill_up else count) as (lane, slot):
            slot.fill(batch)
            lane.run(slot)
            return slot.pictures.numpy()[:count].copy()  # type: ignore[no-any-return]

    def forget(self, size: PictureSize) -> None:
        """Let go of what is kept for a size of pictures."""
        with self._changed:
            self._changed.wait_for(self._all_are_free)
            for each in self._lanes:
                each.forget(size)

    def _decode(self, *inputs: Any) -> Any:
        return self._codec.decode(*inputs)

    @contextmanager
    def _lane(self, size: PictureSize, count: int) -> "Iterator[tuple[_Lane, _Slot]]":
        """A lane that nobody else uses meanwhile, and its tensors for so many pairs of a size.

        New tensors are made in all lanes, while none works: the device may do nothing else while a graph is captured,
        and a lane that is needed for the first time under load would keep everybody waiting then.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._free and (self._free[-1].has(size, count) or self._all_are_free()))
            if not self._free[-1].has(size, count):
                anew = self._free[-1].is_worth_graph(size)
                for each in self._lanes:
                    if anew:
                        each.forget(size)
                    each.slot(size, count)
            lane = self._free.pop()
            slot = lane.slot(size, count)
        try:
            yield lane, slot
        finally:
            with self._changed:
                self._free.append(lane)
                self._changed.notify_all()

    def _all_are_free(self) -> bool:
        return len(self._free) == len(self._lanes)


class _Lane:
    """Decodes one batch at a time: on CUDA in a stream and graphs of its own, beside the other lanes."""

    def __init__(self, torch: Any, device: str, decode: Callable[..., Any]) -> None:
        """decode: symbols, reliability and SNR of a batch on the device, and the size of its pictures, to pictures"""
        self._torch, self._device, self._decode = torch, device, decode
        self._sizes: OrderedDict[PictureSize, _Sized] = OrderedDict()
        self._new_run: Callable[[], Run] = lambda: _as_it_stands
        self._warm_ups = 0  # of a new slot, until its graph is captured; none where there are no graphs
        self._stream: Any = None
        if device == "cuda":
            from jscc.train.cuda_graph import WARM_UPS, GraphRunner

            self._stream, pool = torch.cuda.Stream(), torch.cuda.graph_pool_handle()
            self._new_run, self._warm_ups = lambda: GraphRunner(log.warning, pool).run, WARM_UPS + 1

    def has(self, size: PictureSize, count: int) -> bool:
        """Whether there are tensors for so many pairs of a size, and all that they shall have."""
        return size in self._sizes and count in self._sizes[size].slots and not self.is_worth_graph(size)

    def is_worth_graph(self, size: PictureSize) -> bool:
        """Whether a size that runs as it stands, as it drove out another one, has come often enough for a graph."""
        sized = self._sizes.get(size)
        return sized is not None and sized.warm_ups < self._warm_ups and sized.runs >= GRAPH_AFTER

    def forget(self, size: PictureSize) -> None:
        """Let go of all tensors and graphs of a size. No lane may work: the device's memory changes hands."""
        self._sizes.pop(size, None)

    def slot(self, size: PictureSize, count: int) -> "_Slot":
        """These tensors. New ones are made, and their graph captured, while no lane works.

        A size that has to drive another one out runs as it stands, until it is made anew: see `is_worth_graph`.
        """
        if size not in self._sizes:
            crowded = len(self._sizes) == MOST_SIZES
            if crowded:
                self._sizes.popitem(last=False)
            self._sizes[size] = _Sized(_as_it_stands, 0) if crowded else _Sized(self._new_run(), self._warm_ups)
        self._sizes.move_to_end(size)
        sized = self._sizes[size]
        if count not in sized.slots:
            if not self._warm_ups:  # no graph reads them by address: they need not stay
                sized.slots.clear()
            sized.slots[count] = slot = _Slot.make(self._torch, size, count, self._device)
            for _ in range(sized.warm_ups):
                self.run(slot)
        return sized.slots[count]

    def run(self, slot: "_Slot") -> None:
        """Decode what is in a slot's inputs; its pictures are there when this returns."""
        torch = self._torch
        half = torch.autocast(self._device, torch.float16, enabled=self._device == "cuda", cache_enabled=False)

        def work() -> None:
            for host, device in zip(slot.inputs, slot.uploaded, strict=True):
                device.copy_(host, non_blocking=True)
            slot.pictures.copy_(self._decode(*slot.uploaded, slot.size), non_blocking=True)

        with torch.inference_mode(), half, torch.cuda.stream(self._stream) if self._stream else nullcontext():
            sized = self._sizes[slot.size]
            sized.runs += 1
            sized.run(slot.count, work)
        if self._stream:
            self._stream.synchronize()


def _as_it_stands(_: int, work: Callable[[], object]) -> object:
    return work()


@dataclass(slots=True, eq=False)
class _Sized:
    """What is kept for a size of pictures.

    run       how its work is run
    warm_ups  of a new slot
    slots     by their pairs, on a CPU of the last number only
    runs      how often it was run
    """

    run: Run
    warm_ups: int
    slots: dict[int, "_Slot"] = field(default_factory=dict)
    runs: int = 0


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
