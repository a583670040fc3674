"""Two decodings side by side on a CPU, each on half of the cores, in the place of one after the other on all of them.

Cores that share the work of one pair wait for each other after every layer, and the longer the more often other
programs take one of them. So side by side more pairs are done (`docs/performance.md`). A pair that comes while nothing
else is decoded gets all cores: it is done soonest so. Large pictures get all of them too: `is_large`.
"""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from wire import codec
from wire.geometry import DEFAULT_SIZE, PictureSize

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

LANES: Final = 2

MOST_PIXELS: Final = 2 * DEFAULT_SIZE.pixels
"""Of a picture that is decoded beside another. Two at once bring half as many pairs again whatever their size, but take
40 MB for every 32,768 pixels of one, where one alone takes 15: two of this size together about what 256x512 takes
alone, and two of 256x512 160 to 190 MB."""


def is_large(size: PictureSize) -> bool:
    """Whether pictures of a size are decoded alone, with all cores: two at once would need too much memory."""
    return size.pixels > MOST_PIXELS


def usable_cores() -> int:
    """That this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Lanes:
    """The decoder of a codec in onnxruntime, for several threads; those beyond the lanes wait.

    codec_hash  see `wire.codec`
    count       lanes: 2, or 1 where it has one core only
    ranks       of the inputs: how many dimensions, by name
    """

    def __init__(self, name: str, threads: int, int8: bool = False) -> None:
        """
        name     codec: a folder, or the name of a shipped one
        threads  0 takes every core
        int8     take the decoder of 8-bit integers, which not every codec has
        raises   UserError as `wire.codec.load_onnx` does
        """
        half = codec.load_onnx(name, "decoder", threads, int8)
        self.codec_hash = half.codec_hash
        self.ranks = {each.name: len(each.shape) for each in half.session.get_inputs()}
        self._on_all_cores: InferenceSession = half.session
        cores = threads or usable_cores()
        self._free: list[InferenceSession]
        shares = [(cores + lane) // LANES for lane in range(LANES)] if cores >= LANES else []
        # Of an odd number of cores the lane that is taken first has one more.
        if set(shares) == {1}:  # a session without threads of its own works in those that call it
            self._free = [codec.load_onnx(name, "decoder", 1, int8).session] * LANES
        else:
            self._free = [codec.load_onnx(name, "decoder", share, int8).session for share in shares] or [half.session]
        self.count = len(self._free)
        self._changed = threading.Condition()

    def run(
        self,
        feed: Mapping[str, NDArray[np.float32]],
        large: bool = False,
        begun: Callable[[], object] = lambda: None,
    ) -> NDArray[np.float32]:
        """float32 [B, 2, 3, rows, columns].

        feed   the inputs by name
        large  nothing is decoded beside it
        begun  called once its lanes are free
        """
        with self._lane(large) as session:
            begun()
            pictures: NDArray[np.float32] = session.run(["pictures"], dict(feed))[0]
        return pictures

    @contextmanager
    def _lane(self, whole: bool) -> "Iterator[InferenceSession]":
        with self._changed:
            self._changed.wait_for(lambda: len(self._free) >= (self.count if whole else 1))
            alone = len(self._free) == self.count
            taken = [self._free.pop() for _ in range(self.count if whole else 1)]
        try:
            yield self._on_all_cores if alone else taken[0]
        finally:
            with self._changed:
                self._free.extend(taken)
                self._changed.notify_all()
