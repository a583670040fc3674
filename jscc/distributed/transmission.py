"""One view to bytes, and back with the help of the other view."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from jscc.distributed.codec import TransformCodec
from jscc.distributed.range_coding import PARTS, RangeCoder
from jscc.distributed.transform import STRIDE
from jscc.distributed.validation import reconstruct
from wire import geometry

LATENT = geometry.HEIGHT // STRIDE, geometry.WIDTH // STRIDE
"""Rows and columns of a latent."""

Bytes = NDArray[np.uint8]


class SideInformationCodec:
    """A trained network with its range coder. What crosses the channel is a file; beside it the other view is needed.

    mirrored  the view is the right one: it and its neighbour are mirrored, so that the neighbour again shows things
              further right, as in training
    """

    def __init__(self, model: nn.Module) -> None:
        codec = model if isinstance(model, TransformCodec) else model.codec
        assert isinstance(codec, TransformCodec)
        self.model, self.codec = model, codec
        self.coder = RangeCoder(codec.bottleneck)

    @torch.inference_mode()
    def analyse(self, view: Bytes, *, mirrored: bool) -> Tensor:
        """The latent of a view uint8 [3, 128, 256], before quantisation: [1, C, 8, 16]."""
        latent: Tensor = self.codec.analysis(_tensor(view, mirrored))
        return latent

    @torch.inference_mode()
    def encode(self, latent: Tensor, number: int) -> bytes:
        """The file of a latent at a rate number."""
        symbols = self.codec.bottleneck.quantise(latent, torch.tensor([number / PARTS]))
        whole = symbols[0].flatten(1).numpy().astype(np.int32)
        return self.coder.encode(self.coder.clip(whole, number), number)

    @torch.inference_mode()
    def decode(self, file: bytes, other: Bytes, *, mirrored: bool) -> NDArray[np.float32]:
        """What the receiver shows: float32 [3, 128, 256] in [0, 1].

        other   the other view, uint8 [3, 128, 256], lossless
        raises  ValueError for a file that this codec did not write
        """
        symbols, number = self.coder.decode(file, LATENT[0] * LATENT[1])
        level = torch.tensor([number / PARTS])
        restored = self.codec.bottleneck.restore(torch.from_numpy(symbols).float().reshape(1, -1, *LATENT), level)
        picture = reconstruct(self.model, restored, _tensor(other, mirrored), level).clamp(0, 1)[0]
        return np.ascontiguousarray((picture.flip(-1) if mirrored else picture).numpy())


def _tensor(view: Bytes, mirrored: bool) -> Tensor:
    picture = torch.from_numpy(np.ascontiguousarray(view[None])).float() / 255
    return picture.flip(-1) if mirrored else picture
