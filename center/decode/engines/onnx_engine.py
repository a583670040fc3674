"""The exported decoder in onnxruntime: on any CPU, without torch, in 32-bit numbers or 8-bit integers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from center.decode.engines.base import FLAT_RANK, INPUTS, Batch
from wire import codec
from wire.runtime.errors import UserError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


class OnnxEngine:
    """onnxruntime's own kernels."""

    def __init__(self, name: str, threads: int, int8: bool = False) -> None:
        """
        name     codec: a folder, or the name of a shipped one
        threads  0 takes every core
        int8     take the decoder of 8-bit integers, which not every codec has
        raises   UserError if the codec cannot be loaded or its decoder has other inputs than ours
        """
        half = codec.load_onnx(name, "decoder", threads, int8)
        self.name, self.codec_hash = f"onnxruntime{'-i8' if int8 else ''} on cpu", half.codec_hash
        self._session: InferenceSession = half.session
        ranks = {each.name: len(each.shape) for each in self._session.get_inputs()}
        self._flat = check_inputs(name, ranks)

    def decode(self, batch: Batch) -> NDArray[np.float32]:
        pictures: NDArray[np.float32] = self._session.run(None, batch.feed(self._flat))[0]
        return pictures


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
