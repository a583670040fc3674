"""Undoes the channel: received symbols and what is known of the channel -> estimates and how far to trust them."""

import numpy as np
from numpy.typing import NDArray

from wire.runtime.errors import FrameError

Complex = NDArray[np.complex64]
Real = NDArray[np.float32]

_SMALLEST = np.finfo(np.float32).tiny


def mmse(received: Complex, gain: Complex | None, noise_variance: float) -> tuple[Complex, Real]:
    """The linear MMSE estimate of unit-power symbols s from y = h s + n, n ~ CN(0, N0).

    s_hat = conj(h) y / (|h|^2 + N0),  rho = |h|^2 / (|h|^2 + N0)

    received        y, complex64 [K]
    gain            h, complex64 [K]; None takes h = 1, which is right on AWGN and on a link that tells no gain
                    (under fading without CSI the phase stays in s_hat: nobody at the receiver knows it)
    noise_variance  N0 of one complex symbol; 0 is noiseless
    returns         s_hat complex64 [K] and the reliability rho float32 [K] in [0, 1];
                    E|s_hat - s|^2 = 1 - rho. A symbol with h = 0 and N0 = 0 is unknown: s_hat = 0, rho = 0;
                    so is one with |h|^2 + N0 below the normal range of float32, whose inverse would overflow
    """
    if gain is None:
        reliability = np.full(received.shape, 1.0 / (1.0 + noise_variance), np.float32)
        return received * reliability, reliability
    power = gain.real**2 + gain.imag**2
    scale = power + np.float32(noise_variance)
    inverse = np.divide(np.float32(1.0), scale, out=np.zeros_like(scale), where=scale >= _SMALLEST)
    return np.conj(gain) * received * inverse, power * inverse


def spread_gain(gain: Complex, coherence: int, symbols: int) -> Complex:
    """One gain for each `coherence` consecutive symbols -> one gain per symbol.

    gain     complex64 [ceil(symbols / coherence)]
    returns  complex64 [symbols]
    raises   FrameError if the number of gains does not fit
    """
    if coherence < 1:
        raise FrameError("shape", "the channel gain comes with coherence 0; send how many symbols share one gain")
    needed = -(-symbols // coherence)
    if gain.size != needed:
        raise FrameError(
            "shape",
            f"{gain.size} channel gains came; {symbols} symbols with coherence {coherence} need {needed}",
        )
    # Never more than `symbols`, however large the number in the message: it must not become an allocation.
    return gain if coherence == 1 else np.repeat(gain, min(coherence, symbols))[:symbols]
