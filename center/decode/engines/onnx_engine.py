"""The exported decoder in onnxruntime: on any CPU, without torch, in 32-bit numbers or 8-bit integers."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from center.decode.engines.base import FLAT_RANK, INPUTS, Batch
from center.decode.engines.lanes import Lanes, is_large
from wire.geometry import PictureSize
from wire.runtime.errors import UserError


class OnnxEngine:
    """onnxruntime's own kernels, and a `SharingEngine`. in_flight: batches at once, see `engines.base.in_flight`"""

    largest_batch = 1

    def __init__(self, name: str, threads: int, int8: bool = False) -> None:
        """
        name     codec: a folder, or the name of a shipped one
        threads  0 takes every core
        int8     take the decoder of 8-bit integers, which not every codec has
        raises   UserError if the codec cannot be loaded or its decoder has other inputs than ours
        """
        self._lanes = Lanes(name, threads, int8)
        self.in_flight, self.codec_hash = self._lanes.count, self._lanes.codec_hash
        self.name = f"onnxruntime{'-i8' if int8 else ''} on cpu"
        self._flat = check_inputs(name, self._lanes.ranks)

    def places(self, size: PictureSize) -> int:
        return self._lanes.count if is_large(size) else 1

    def decode(self, batch: Batch, begun: Callable[[], object] = lambda: None) -> NDArray[np.float32]:
        return self._lanes.run(batch.feed(self._flat), is_large(batch.size), begun)


def check_inputs(name: str, inputs: Mapping[str, int]) -> bool:
    """Whether the decoder of a codec takes its symbols flat, as those of version 0.1, which know one size of pictures.

    inputs  number of dimensions by name
    raises  UserError if it takes other inputs than ours
    """
    if sorted(inputs) != sorted(INPUTS):
        raise UserError(
            f"the decoder of codec '{name}' takes {', '.join(inputs)} instead of {', '.join(INPUTS)};"
            " export it anew with `vergence-edge export`"
        )
    return inputs["symbols"] == FLAT_RANK
