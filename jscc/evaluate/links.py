"""Noise for the bench: the channel that the networks were trained on, seeded.

A realisation depends on (seed, pair, the SNR that the row is filed under, the number of symbols) and on nothing else:
systems that spend the same number of symbols meet the same noise, whatever the other link's SNR. Left always gets the
first stream and right the second.
"""

import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from jscc.channel import Fading, transmit
from jscc.evaluate.systems.base import Channel
from wire import units
from wire.runtime.errors import UserError

MOST_POWER: Final = units.POWER * 1.05
"""Of a view: a picture's QAM symbols, chosen by its bits, differ from the mean power of the constellation by chance."""
FADING: Final[dict[Channel, Fading]] = {"awgn": Fading.NONE, "rayleigh": Fading.FAST}


def noise_of(seed: int, pair: str, snr_db: float) -> np.random.Generator:
    """The generator to hand to every system for this pair at this SNR."""
    key = (seed, zlib.crc32(pair.encode()), round(snr_db * 1000) & 0xFFFFFFFF)
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


def send(
    symbols_VK2: Tensor, snr_db: Sequence[float], channel: Channel, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Send the symbols of each view through its own link, and equalise.

    symbols  float [V, K, 2] = (view, symbol, I and Q), mean I^2 + Q^2 = 1
    snr_db   mean Es/N0 of each link, dB, V of them
    returns  (MMSE estimates [V, K, 2], reliability |h|^2 / (|h|^2 + N0) [V, K])
    raises   UserError for a view of more than 1.05, which would meet a better SNR than the row says
    """
    power = float(symbols_VK2.square().sum(2).mean(1).max())
    if not power <= MOST_POWER:
        raise UserError(f"the symbols of a view have a mean power of {power:.3g}; scale each view to {units.POWER:g}")
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    return transmit(symbols_VK2, torch.tensor(snr_db, dtype=torch.float32), FADING[channel], generator)
