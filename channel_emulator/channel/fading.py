"""The gain h of a link: complex, E|h|^2 = 1, drawn for one frame.

A gain is an array of blocks: `h[i]` multiplies symbols i * coherence ... (i + 1) * coherence - 1, and the
last block may be shorter. No array at all says h = 1.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from channel_emulator.channel.randomness import Purpose, RandomStreams, complex_normal
from channel_emulator.channel.settings import Settings
from wire.contract.link_settings import Model

SINUSOIDS: Final = 32
_COLUMNS: Final = 72
_ROWS: Final = 8


@dataclass(frozen=True, slots=True)
class Gain:
    """Blocks of a frame's gain: h complex64 [ceil(k / coherence)], coherence in symbols."""

    h: NDArray[np.complex64]
    coherence: int

    def per_symbol(self, count: int) -> NDArray[np.complex64]:
        """One gain per symbol, complex64 [count], or [1] where one gain serves the whole frame."""
        if self.coherence == 1 or len(self.h) == 1:
            return self.h
        return np.repeat(self.h, self.coherence)[:count]


def draw(settings: Settings, streams: RandomStreams, sequence: int, count: int) -> Gain | None:
    """The gain of one frame.

    streams, sequence  of the link and the frame: together they fix the gain
    count              symbols of the frame
    returns            None where h = 1 (clean, awgn)
    """
    if settings.model is Model.JAKES:
        phases = streams.of(Purpose.GAIN, 0)
        return Gain(jakes(settings.doppler, sequence * count, count, phases), 1)
    if settings.model not in (Model.RAYLEIGH, Model.RICIAN):
        return None
    scattered = complex_normal(streams.of(Purpose.GAIN, sequence), -(-count // settings.coherence))
    if settings.model is Model.RICIAN:
        return Gain(rician(settings.k_factor_db, scattered), settings.coherence)
    return Gain(scattered, settings.coherence)


def rician(k_factor_db: float, scattered: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Add a line of sight at phase 0 to scattered gains.

    k_factor_db  line-of-sight power over scattered power, K in dB
    scattered    CN(0, 1), complex64 [n]
    returns      complex64 [n] with mean sqrt(K / (K + 1)) and variance 1 / (K + 1)
    source       Rice 1944; Goldsmith, "Wireless Communications", section 3.2.2
    """
    k = 10.0 ** (k_factor_db / 10.0)
    faded = scattered * np.float32((1.0 / (k + 1.0)) ** 0.5)
    faded += np.float32((k / (k + 1.0)) ** 0.5)
    return faded


def jakes(doppler: float, first: int, count: int, generator: Generator) -> NDArray[np.complex64]:
    """Rayleigh fading with the Doppler spectrum of Jakes: E[h(m + n) h*(m)] = J0(2 pi doppler n).

    doppler    fd * Ts, maximum Doppler shift in cycles a symbol
    first      time of the first gain, in symbols
    generator  gives the phases of the scatterers; equal generators make one process, of which this is a piece
    returns    complex64 [count]

    A sum of 32 waves of equal power that arrive from angles pi (i + 1/2) / 32 with random phases. Its
    autocorrelation is the midpoint rule for the integral of J0 and misses it by less than 1e-9 up to lags of
    5 / doppler; |h| is Rayleigh to within E|h|^4 = 2 - 1/32. A frame's place in time is its sequence: frame
    s takes the symbol times s k ... s k + k - 1, as if frames followed each other without a gap, so a slow
    fade goes on smoothly from frame to frame and over lost ones.

    Symbol times are split as row * 72 + column, so that a frame's gains cost a small matrix product and not
    32 exponentials each. Eight rows go at a time: 8 * 32 * 72 is below the size (32768) from which OpenBLAS
    wakes its threads, which on a busy machine cost 40 ms now and then.
    source   Clarke 1968; Jakes, "Microwave Mobile Communications", 1974; angles after the method of exact
             Doppler spread, Pätzold, "Mobile Radio Channels", section 5.1.7
    """
    angles = np.pi * (np.arange(SINUSOIDS) + 0.5) / SINUSOIDS
    cycles = doppler * np.cos(angles)  # a symbol, for each wave
    start = generator.random(SINUSOIDS) + (float(first) * cycles) % 1.0
    blocks = -(-count // (_ROWS * _COLUMNS))
    rows = unit_phasor(np.outer(np.arange(blocks * _ROWS) * _COLUMNS, cycles) + start)
    rows *= np.float32(SINUSOIDS**-0.5)
    columns = unit_phasor(np.outer(cycles, np.arange(_COLUMNS)))
    h: NDArray[np.complex64] = rows.reshape(blocks, _ROWS, SINUSOIDS) @ columns
    return h.ravel()[:count]


def unit_phasor(cycles: NDArray[np.float64]) -> NDArray[np.complex64]:
    """exp(2 pi i cycles): whole turns are taken off in float64, the rest is exact enough in float32."""
    angle = (2.0 * np.pi * (cycles % 1.0)).astype(np.float32)
    turned = np.empty(angle.shape, np.complex64)
    turned.real, turned.imag = np.cos(angle), np.sin(angle)
    return turned
