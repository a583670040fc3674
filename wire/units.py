"""One definition of SNR and of the power constraint, for every package.

SNR mu is Es/N0 in dB of a complex symbol with mean power P = 1. N0 = 10^(-mu/10) is the noise
variance of a whole complex symbol; each real dimension gets half of it. mu = +inf is a noiseless
link; mu = -inf says that nothing arrived at all (the *absent* view).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

POWER: Final = 1.0
NOISELESS: Final = float("inf")
ABSENT: Final = float("-inf")

TRAINED_SNR_DB: Final = (-3.0, 14.0)
"""The range of SNRs, dB, that the networks are trained for; quality tokens stand 1 dB apart in it."""


def noise_variance(snr_db: float) -> float:
    """N0 of one complex symbol at `snr_db`; 0 for +inf, +inf for -inf and what is too large for a float."""
    try:
        return float(10.0 ** (-snr_db / 10.0))
    except OverflowError:
        return float("inf")


def snr_db(signal_power: float, noise_power: float) -> float:
    """Es/N0 in dB from the two mean powers; +inf where there is no noise."""
    if noise_power == 0.0:
        return NOISELESS
    return float(10.0 * np.log10(signal_power / noise_power)) if signal_power > 0.0 else ABSENT


def mean_power(symbols: NDArray[np.complex64]) -> float:
    """Mean |s|^2 of complex symbols of any shape."""
    flat = np.ravel(symbols)
    return float(np.vdot(flat, flat).real / flat.size)


def normalise_power(symbols: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Scale one picture's complex symbols so that mean |s|^2 = 1 (all-zero symbols stay zero)."""
    power = mean_power(symbols)
    return symbols if power == 0.0 else (symbols * np.float32(power**-0.5)).astype(np.complex64)
