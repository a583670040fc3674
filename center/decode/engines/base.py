"""What an engine is: a batch of symbols in, pictures out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from wire import units
from wire.geometry import DEFAULT_SIZE, LATENT_CHANNELS, PictureSize
from wire.runtime.errors import UserError

Kind = Literal["auto", "onnxruntime", "onnxruntime-i8", "openvino", "torch", "ray"]
Device = Literal["auto", "cpu", "cuda"]

INPUTS: Final = ("symbols", "reliability", "snr_db")
FLAT_RANK: Final = 4
"""Dimensions of the symbols that a decoder of version 0.1 takes: [B, 2, K, 2]."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """B jobs of one size as the decoder takes them; view 0 is left, 1 is right; K = size.symbols.

    symbols      float32 [B, 2, K, 2], equalised I and Q; 0 where a view is absent
    reliability  float32 [B, 2, K] in [0, 1]; 0 where a view is absent
    snr_db       float32 [B, 2]; +inf noiseless, -inf absent
    size         of all pictures
    """

    symbols: NDArray[np.float32]
    reliability: NDArray[np.float32]
    snr_db: NDArray[np.float32]
    size: PictureSize = DEFAULT_SIZE

    @staticmethod
    def absent(count: int, size: PictureSize = DEFAULT_SIZE) -> "Batch":
        """A batch of `count` jobs in which nothing has arrived, to be filled."""
        return Batch(
            np.zeros((count, 2, size.symbols, 2), np.float32),
            np.zeros((count, 2, size.symbols), np.float32),
            np.full((count, 2), units.ABSENT, np.float32),
            size,
        )

    @staticmethod
    def noise(count: int, snr_db: float = 10.0, size: PictureSize = DEFAULT_SIZE) -> "Batch":
        """A batch to time an engine with: symbols of noise over links of one SNR. The work is that of real ones."""
        batch = Batch.absent(count, size)
        batch.symbols[:] = np.random.default_rng(0).standard_normal(batch.symbols.shape, np.float32) * 0.5**0.5
        batch.reliability[:] = 1.0 / (1.0 + units.noise_variance(snr_db))
        batch.snr_db[:] = snr_db
        return batch

    def feed(self, flat: bool = False) -> dict[str, NDArray[np.float32]]:
        """The inputs of the exported decoder, by name; it learns the size of the pictures from their shapes.

        flat     for a decoder of version 0.1, which knows one size: the arrays as they are
        returns  views of the arrays, with K = 10 x rows / 8 x columns / 8 as three dimensions, which tell the size; the
                 order stays that of sending
        raises   UserError if the decoder is flat and the pictures are of another size
        """
        if flat and self.size != DEFAULT_SIZE:
            raise UserError(
                f"the decoder of this codec knows pictures of {DEFAULT_SIZE} only, and {self.size} is asked for;"
                " export it anew with `vergence-edge export`"
            )
        grid = () if flat else (LATENT_CHANNELS // 2, *self.size.latent)
        lead = self.snr_db.shape
        return {
            "symbols": self.symbols.reshape(*lead, *(grid or (-1,)), 2),
            "reliability": self.reliability.reshape(*lead, *(grid or (-1,))),
            "snr_db": self.snr_db,
        }

    def __len__(self) -> int:
        return len(self.snr_db)


class Engine(Protocol):
    """Turns symbols into pictures. Called from one thread only, never from the event loop's.

    One that works on several batches at once says how many in an attribute `in_flight`, which may change while it runs,
    and is called from several threads; see `in_flight`. One that decodes large pictures alone is a `SharingEngine`. One
    that gains nothing by several pairs in a batch has an attribute `largest_batch`; see `largest_batch`.

    name        for people: what decodes and where, such as "onnxruntime on cpu"
    codec_hash  see `wire.codec`; cameras must encode with the same
    """

    name: str
    codec_hash: str

    def decode(self, batch: Batch) -> NDArray[np.float32]:
        """float32 [B, 2, 3, rows, columns] in [0, 1]; what stands at an absent view has no meaning."""
        ...


@runtime_checkable
class SharingEngine(Protocol):
    """An engine that works on several batches at once, but not on any: some take the place of several."""

    def places(self, size: PictureSize) -> int:
        """As how many of `in_flight` a batch of pictures of this size counts."""
        ...

    def decode(self, batch: Batch, begun: Callable[[], object] = ...) -> NDArray[np.float32]:
        """As `Engine.decode`. begun: called once the places are there, which other batches may hold until then"""
        ...


class BatchLost(Exception):
    """Whoever had a batch is gone, and the batch with it; the next one goes elsewhere. Not the fault of the batch."""


MOST_IN_FLIGHT: Final = 32


def in_flight(engine: Engine | None) -> int:
    """How many batches an engine wants at once, from 1 to MOST_IN_FLIGHT."""
    return min(max(1, getattr(engine, "in_flight", 1)), MOST_IN_FLIGHT)


def places(engine: Engine | None, size: PictureSize | None) -> int:
    """As how many of the batches that an engine wants at once one of pictures of this size counts; 1 for no batch."""
    if size is None or not isinstance(engine, SharingEngine):
        return 1
    return min(max(1, engine.places(size)), in_flight(engine))


def decode(engine: Engine, batch: Batch, begun: Callable[[], object]) -> NDArray[np.float32]:
    """Decode a batch.

    begun  called in this thread when the engine had to have its places first, and has them now; else not at all
    """
    return engine.decode(batch, begun) if isinstance(engine, SharingEngine) else engine.decode(batch)


def forget(engine: Engine, size: PictureSize) -> None:
    """Tell an engine that keeps something for each size of pictures, and so has `forget`, that one is not to come."""
    if (let_go := getattr(engine, "forget", None)) is not None:
        let_go(size)


def threads(engine: Engine) -> int:
    """How many threads may have to call an engine at once."""
    return MOST_IN_FLIGHT if hasattr(engine, "in_flight") else 1


def largest_batch(engine: Engine, most: int) -> int:
    """How many pairs in a batch can be worth their wait, at most `most`: on a CPU, whose cores share the work of each
    pair, 1."""
    return min(most, getattr(engine, "largest_batch", most))
