"""Real bytes: the symbols of a quantised latent through a range coder, each channel with its own table.

The tables come from the learned density alone, so encoder and decoder compute the same ones; they must do so on the
same kind of machine, since the last bit of a probability counts.
"""

from typing import Final

import constriction
import numpy as np
import torch
from numpy.typing import NDArray

from jscc.distributed.bottleneck import Bottleneck

PARTS: Final = 16
"""Rate numbers to one rate level: the first byte of a file is level times PARTS."""
FARTHEST: Final = 127
"""The largest symbol, whatever the density says."""
RARE: Final = 1e-7
"""A channel's table ends where symbols are less probable; what lies beyond is coded as its last symbol."""

Symbols = NDArray[np.int32]


class RangeCoder:
    """Codes symbols of one bottleneck at every rate number from 0 to `numbers - 1`.

    Tables are made when a rate number is first met, and kept.
    """

    def __init__(self, bottleneck: Bottleneck) -> None:
        self.bottleneck = bottleneck
        self.numbers = (bottleneck.levels - 1) * PARTS + 1
        self._tables: dict[int, list[NDArray[np.float64]]] = {}

    @staticmethod
    def level(number: int) -> float:
        """The rate level of a rate number."""
        return number / PARTS

    @torch.inference_mode()
    def tables(self, number: int) -> list[NDArray[np.float64]]:
        """For each channel the probabilities of the symbols -K...K, float [2 K + 1]; K differs."""
        if number not in self._tables:
            step_C = self.bottleneck.steps(torch.tensor([self.level(number)]))[0]
            whole = torch.arange(-FARTHEST, FARTHEST + 1)
            p_CK = self.bottleneck.density.probability(whole * step_C[:, None], step_C[:, None]).double().numpy()
            likely = np.maximum(p_CK[:, FARTHEST:], p_CK[:, FARTHEST::-1]) > RARE
            last = np.maximum(1, FARTHEST - likely[:, ::-1].argmax(1))
            self._tables[number] = [p[FARTHEST - k : FARTHEST + k + 1] for p, k in zip(p_CK, last, strict=True)]
        return self._tables[number]

    def clip(self, symbols_CN: Symbols, number: int) -> Symbols:
        """Symbols as they will arrive: those beyond a channel's table are its last."""
        last_C1 = np.array([len(table) // 2 for table in self.tables(number)])[:, None]
        return np.clip(symbols_CN, -last_C1, last_C1).astype(np.int32)

    def encode(self, symbols_CN: Symbols, number: int) -> bytes:
        """Symbols [C, N] within the tables (`clip`) -> a file: the rate number, then the range coder's words."""
        coder = constriction.stream.queue.RangeEncoder()
        for symbols, table in zip(symbols_CN, self.tables(number), strict=True):
            coder.encode(np.ascontiguousarray(symbols) + np.int32(len(table) // 2), _model(table))
        words: NDArray[np.uint32] = coder.get_compressed()
        return bytes([number]) + words.astype(">u4").tobytes().rstrip(b"\0")

    def decode(self, file: bytes, count: int) -> tuple[Symbols, int]:
        """The inverse: (symbols [C, `count`], rate number).

        raises  ValueError for a file that no encoder with these weights wrote
        """
        if not file or file[0] >= self.numbers:
            raise ValueError("not a file of this codec: its rate number is unknown")
        number = file[0]
        body = file[1:] + bytes(-(len(file) - 1) % 4)
        words = np.frombuffer(body, ">u4").astype(np.uint32)
        coder = constriction.stream.queue.RangeDecoder(words)
        try:
            rows = [coder.decode(_model(table), count) - np.int32(len(table) // 2) for table in self.tables(number)]
        except AssertionError as error:
            raise ValueError("not a file of this codec: it is damaged") from error
        return np.stack(rows).astype(np.int32), number


def _model(table: NDArray[np.float64]) -> object:
    return constriction.stream.model.Categorical(table, perfect=False)
