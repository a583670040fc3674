"""The channel itself: y = h s + n, and what the receiver is told of it.

n ~ CN(0, N0) with N0 = 10^(-snr/10), half of it per real dimension (`wire/units.py`); the SNR is against the
nominal unit power, not against the power that a frame happens to have. The emulator never equalises:
the receiver does, with what `known` says.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from channel_emulator.channel.fading import Gain, draw
from channel_emulator.channel.randomness import Purpose, RandomStreams, complex_normal
from channel_emulator.channel.settings import Settings
from wire.contract.link_settings import Csi, Model
from wire.units import NOISELESS, mean_power, noise_variance, snr_db


@dataclass(frozen=True, slots=True)
class ChannelOutput:
    """What came out of the channel.

    received         complex64 [k]
    snr_db           mean Es/N0 of the link, dB
    measured_snr_db  mean |h s|^2 over mean |n|^2 of this frame, dB: swings with the fading
    known            the gain as the receiver knows it; None where it knows none
    """

    received: NDArray[np.complex64]
    snr_db: float
    measured_snr_db: float
    known: Gain | None


def apply_channel(
    symbols: NDArray[np.complex64], settings: Settings, mean_snr_db: float, streams: RandomStreams, sequence: int
) -> ChannelOutput:
    """Send one frame's symbols through the channel.

    symbols      complex64 [k], mean |s|^2 = 1
    settings     law of the channel and what is told of it; its own SNR is not looked at
    mean_snr_db  Es/N0 in dB; +inf adds no noise
    streams      of the link
    sequence     of the frame: with `streams` it fixes gain and noise
    source       docs/conventions.md, for SNR and noise
    """
    if settings.model is Model.CLEAN:
        return ChannelOutput(symbols, NOISELESS, NOISELESS, known=None)
    gain = draw(settings, streams, sequence, symbols.size)
    faded = symbols if gain is None else symbols * gain.per_symbol(symbols.size)
    known = told(settings, gain, streams, sequence, symbols.size)
    n0 = noise_variance(mean_snr_db)
    if n0 == 0.0:
        return ChannelOutput(faded, mean_snr_db, NOISELESS, known)
    noise = complex_normal(streams.of(Purpose.NOISE, sequence), symbols.size)
    noise *= np.float32(n0**0.5)
    measured = snr_db(mean_power(faded), mean_power(noise))
    noise += faded
    return ChannelOutput(noise, mean_snr_db, measured, known)


def told(settings: Settings, gain: Gain | None, streams: RandomStreams, sequence: int, count: int) -> Gain | None:
    """The gain as the receiver knows it: nothing, the truth, or the truth and CN(0, csi_error^2) on each block.

    gain     the truth; None where h = 1
    count    symbols of the frame
    returns  None where nothing is told, and where h = 1 is known

    Under `noisy` the constant gain of AWGN is estimated as well, once a frame.
    """
    if settings.csi is Csi.NONE:
        return None
    if settings.csi is Csi.PERFECT:
        return gain
    true = gain or Gain(np.ones(1, np.complex64), count)
    error = complex_normal(streams.of(Purpose.CSI_ERROR, sequence), len(true.h))
    return Gain(true.h + error * np.float32(settings.csi_error), true.coherence)
