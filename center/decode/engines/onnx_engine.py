"""The exported decoder in onnxruntime: on any CPU, without torch, in 32-bit numbers or 8-bit integers."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from center.decode.engines.base import INPUTS, Batch
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
        check_inputs(name, [each.name for each in self._session.get_inputs()])

    def decode(self, batch: Batch) -> NDArray[np.float32]:
        pictures: NDArray[np.float32] = self._session.run(None, batch.feed())[0]
        return pictures


def check_inputs(name: str, inputs: Iterable[str]) -> None:
    """raises UserError if the decoder of a codec takes other inputs than ours"""
    if sorted(inputs) != sorted(INPUTS):
        raise UserError(
            f"the decoder of codec '{name}' takes {', '.join(inputs)} instead of {', '.join(INPUTS)};"
            " export it anew with `vergence-edge export`"
        )
