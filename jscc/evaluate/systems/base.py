"""The interface that an evaluated system implements: what it is given, and what it must return."""

from dataclasses import dataclass
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from wire.geometry import PictureSize

Bytes = NDArray[np.uint8]
Picture = NDArray[np.float32]
MS_SSIM: Final = "ms-ssim"
Channel = Literal["awgn", "rayleigh"]
CHANNELS: Final[tuple[Channel, ...]] = ("awgn", "rayleigh")
"""`rayleigh` is fast fading, one complex gain per symbol, known to the receiver."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One scene.

    name   of its files, without suffix
    views  uint8 [2, 3, rows, columns], left then right, RGB
    """

    name: str
    views: Bytes

    @property
    def size(self) -> PictureSize:
        """Of both views; how many symbols each may take follows from it."""
        return PictureSize(self.views.shape[2], self.views.shape[3])

    @property
    def truth(self) -> Picture:
        """What reconstructions are measured against, float32 [2, 3, rows, columns] in [0, 1]."""
        return unit(self.views)


@dataclass(frozen=True, slots=True)
class Sent:
    """What the receiver has after a transmission.

    pictures  float32 [2, 3, rows, columns] in [0, 1], left then right; not rounded
    symbols   complex channel uses spent on each view; never more than `pair.size.symbols`
    bytes     source-coded bytes of each view that were counted against the budget; None for systems without bits
    """

    pictures: Picture
    symbols: tuple[int, int]
    bytes: tuple[int, int] | None = None


class System(Protocol):
    """A way to send a pair of pictures over two links.

    deltas  SNRs of the other link minus the own, dB, that are worth measuring: 0 alone for systems without joint
            decoding; +inf is the paper's case II, in which the other view arrives noiseless; -inf: it never arrives
    An optional attribute `fingerprint` (str) names what the results depend on beside the code, such as the hash of
    weights; a run is not continued with another one. `trained_for` = MS_SSIM keeps a system out of the panels of PSNR.
    """

    @property
    def deltas(self) -> tuple[float, ...]: ...

    def transmit(
        self, pair: Pair, snr_left: float, snr_right: float, channel: Channel, rng: np.random.Generator
    ) -> Sent:
        """Send both views, each over its own link.

        pair                 what to send
        snr_left, snr_right  mean Es/N0 of the links, dB
        channel              the kind of both links
        rng                  all randomness of the channel comes from here (through `jscc.evaluate.links.send`), so that
                             systems that spend the same number of symbols get the same noise
        """
        ...


def unit(picture: Bytes) -> Picture:
    """A picture as floats: uint8 of any shape -> float32 in [0, 1] of the same."""
    return picture.astype(np.float32) / np.float32(255)
