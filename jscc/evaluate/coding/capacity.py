"""How many bits the symbols of a picture, 5120 at 128x256, could carry at best: Shannon's bound of a complex channel.

r_max = 3 R log2(1 + SNR) bits per pixel (paper, section 4.2), R = k/n with k complex symbols and n = 3 x 128 x 256.
A complex symbol carries log2(1 + SNR) bits, with SNR = Es/N0; counting reals as symbols would double the rate.
"""

from functools import lru_cache
from typing import Final

import numpy as np

from jscc.evaluate.systems.base import Channel
from wire import geometry, units

_LOG_GAINS: Final = np.arange(-40.0, 4.5, 0.05)
"""Values of ln |h|^2 at which the ergodic capacity is sampled: the trapezoidal rule is exact to 1e-9 bit (tested)."""


@lru_cache(maxsize=1024)
def bits_per_symbol(snr_db: float, channel: Channel) -> float:
    """Capacity in bits per complex symbol.

    snr_db   mean Es/N0, dB
    channel  awgn: log2(1 + SNR); rayleigh: ergodic, E[log2(1 + |h|^2 SNR)] with |h|^2 exponential of mean 1 (fast
             fading, the receiver knows h)
    source   Shannon 1948; Goldsmith, Varaiya, "Capacity of fading channels with channel side information", 1997
    """
    snr = 1.0 / units.noise_variance(snr_db)
    if channel == "awgn":
        return float(np.log2(1.0 + snr))
    gains = np.exp(_LOG_GAINS)
    return float(np.sum(np.exp(-gains) * gains * np.log2(1.0 + gains * snr)) * 0.05)


def bits_per_pixel(snr_db: float, channel: Channel) -> float:
    """The paper's r_max = 3 R log2(1 + SNR), bits per pixel (section 4.2).

    snr_db  mean Es/N0, dB
    """
    return geometry.CHANNELS * geometry.BANDWIDTH_RATIO * bits_per_symbol(snr_db, channel)


def budget_bytes(snr_db: float, channel: Channel, symbols: int = geometry.SYMBOLS) -> int:
    """The largest whole number of bytes that a picture may take: at 128x256 451 at -2 dB, 2607 at 12 dB on AWGN.

    snr_db   mean Es/N0, dB
    symbols  complex symbols of the picture
    """
    return int(symbols * bits_per_symbol(snr_db, channel) // 8)
