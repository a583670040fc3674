"""Random numbers that belong to a frame, not to the moment at which it is processed.

A counter-based generator (Philox 4x64) is keyed by (seed, link) and placed at (purpose, sequence). So a
retry, a second worker or frames in another order meet exactly the same noise, and the noise does not
change when somebody switches the loss on: each purpose has a stream of its own. NumPy promises the bits of
Philox for ever and the normals made of them only in practice; a golden test notices if they change.
"""

from enum import IntEnum
from hashlib import blake2b

import numpy as np
from numpy.random import Generator, Philox
from numpy.typing import NDArray

from wire.views import View


class Purpose(IntEnum):
    """What the numbers are for; the values are part of the reproducibility and never change."""

    NOISE = 0
    GAIN = 1
    LOSS = 2
    DELAY = 3
    CSI_ERROR = 4
    WALK = 5


class RandomStreams:
    """All randomness of one link.

    seed, rig, view  together they fix every number; equal triples on two machines agree
    """

    def __init__(self, seed: int, rig: str, view: View) -> None:
        digest = blake2b(f"{seed}/{rig}/{view.value}".encode(), digest_size=16).digest()
        self._key = np.frombuffer(digest, dtype="<u8")

    def of(self, purpose: Purpose, sequence: int) -> Generator:
        """A generator at the start of its stream.

        sequence  of the frame, 0 to 2^64 - 1; streams are 2^128 blocks apart and cannot overlap
        source    Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011
        """
        return Generator(Philox(key=self._key, counter=np.array([0, 0, purpose, sequence], dtype=np.uint64)))


def complex_normal(generator: Generator, count: int) -> NDArray[np.complex64]:
    """CN(0, 1), complex64 [count]: variance 1, half of it in each real dimension."""
    real = generator.standard_normal(2 * count, dtype=np.float32)
    real *= np.float32(0.5**0.5)
    return real.view(np.complex64)
