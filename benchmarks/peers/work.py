"""What every server in this comparison does with a pair: the decoder that ships, and what the center does around it.

Runs inside a peer's own environment too, so it needs numpy, protobuf and onnxruntime alone. The decoder is the
center's own, with the same options and lanes.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from center.decode.engines.lanes import Lanes
from wire import codec, units
from wire.geometry import CHANNELS, DEFAULT_SIZE, HEIGHT, LATENT_CHANNELS, SYMBOLS, WIDTH

_FLAT_RANK: Final = 4
HEAD: Final = 2 * 4
"""Bytes of the SNRs of both links, float32."""

REQUEST_BYTES: Final = HEAD + 2 * SYMBOLS * 2 * 2
ANSWER_BYTES: Final = 2 * HEIGHT * WIDTH * CHANNELS


def pack(received: NDArray[np.complex64], snr_db: tuple[float, float]) -> bytes:
    """One pair as a peer gets it: both views paired already, of the size that they have on our wire (f16).

    received  complex64 [2, 5120], left first, as the channel left them
    snr_db    mean Es/N0 of both links
    """
    reals = np.ascontiguousarray(received, np.complex64).view(np.float32).astype("<f2")
    return np.asarray(snr_db, "<f4").tobytes() + reals.tobytes()


class PairDecoder:
    """The decoder of a codec in onnxruntime: bytes of pairs in, bytes of pictures out.

    at_once  threads that may call it at once and gain by it
    """

    def __init__(self, name: str = codec.DEFAULT, threads: int = 2) -> None:
        """raises UserError as `wire.codec.load_onnx` does"""
        self._lanes = Lanes(name, threads)
        self.at_once = self._lanes.count
        self._threads = ThreadPoolExecutor(self.at_once)
        # A graph of any size learns it from the shape; one of version 0.1 takes [pairs, view, symbol, I and Q].
        flat = self._lanes.ranks["symbols"] == _FLAT_RANK
        self._shape = (SYMBOLS,) if flat else (LATENT_CHANNELS // 2, *DEFAULT_SIZE.latent)

    def decode(self, requests: Sequence[bytes | NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """The pictures of a batch, whose pairs are decoded side by side, as the center decodes those of its queue.

        requests  of `pack`, as bytes or as uint8 [40968]
        returns   uint8 [pairs, view, 128, 256, 3], RGB
        """
        if len(requests) == 1:
            return self._decode(requests)
        return np.concatenate(list(self._threads.map(lambda request: self._decode([request]), requests)))

    def _decode(self, requests: Sequence[bytes | NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """Equalise, decode, round."""
        raw = np.stack([np.frombuffer(request, np.uint8) for request in requests])
        snr_db = raw[:, :HEAD].copy().view("<f4")
        symbols = raw[:, HEAD:].copy().view("<f2").astype(np.float32).reshape(len(raw), 2, *self._shape, 2)
        trust = np.array([[1.0 / (1.0 + units.noise_variance(float(mu))) for mu in pair] for pair in snr_db], "f4")
        reliability = np.ascontiguousarray(np.broadcast_to(_beside(trust, symbols.ndim - 1), symbols.shape[:-1]))
        feed = {"symbols": symbols * _beside(trust, symbols.ndim), "reliability": reliability, "snr_db": snr_db}
        exact = np.clip(self._lanes.run(feed), 0.0, 1.0)
        return np.ascontiguousarray(np.rint(exact * 255.0).astype(np.uint8).transpose(0, 1, 3, 4, 2))


def _beside(trust: NDArray[np.float32], rank: int) -> NDArray[np.float32]:
    """[pairs, view] with as many further dimensions of 1 as make the rank."""
    return trust.reshape(*trust.shape, *(1,) * (rank - trust.ndim))
