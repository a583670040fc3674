"""One link: its settings as they are now, what it carried, and what becomes of each frame."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from channel_emulator.channel.awgn import ChannelOutput, apply_channel
from channel_emulator.channel.power import Checked, check
from channel_emulator.channel.randomness import Purpose, RandomStreams
from channel_emulator.channel.settings import Settings
from channel_emulator.channel.snr import Fixed
from wire.contract.link_settings import LONGEST_DELAY_MS, Csi, Model
from wire.contract.outcomes import Reason
from wire.units import NOISELESS
from wire.views import View


@dataclass(frozen=True, slots=True)
class Lost:
    """The channel lost the frame. reason: `outage` or `loss`; detail: one line for a person."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Delivered:
    """The frame came through."""

    output: ChannelOutput
    checked: Checked


class Link:
    """One view's channel. No clock: `now` is in seconds and only grows.

    settings   as they are now; immutable, so a frame sees either all of a change or nothing of it
    version    counts changes
    connected  whether a camera transmits at the moment
    frames, lost          passed on, and lost by the channel
    measured_snr_db       of the last frame that passed; 0 before the first
    """

    def __init__(self, rig: str, view: View, configured: Settings, streams: RandomStreams, now: float) -> None:
        self.rig, self.view = rig, view
        self.settings = configured
        self.version = 0
        self.connected = False
        self.frames = self.lost = 0
        self.measured_snr_db = 0.0
        self._configured, self._streams, self._started = configured, streams, now

    def __str__(self) -> str:
        return f"{self.rig}/{self.view}"

    def snr_db(self, now: float) -> float:
        """Mean Es/N0 in dB; +inf on a clean link."""
        if self.settings.model is Model.CLEAN:
            return NOISELESS
        return self.settings.snr.at(max(0.0, now - self._started))

    def reported_snr_db(self, now: float) -> float | None:
        """What the transmitter may know: the mean SNR, or None without CSI."""
        return None if self.settings.csi is Csi.NONE else self.snr_db(now)

    def update(self, changes: dict[str, Any]) -> None:
        """Change the named settings from the next frame on; `snr_db` sets a fixed SNR.

        raises  UserError if one is out of range; then nothing has changed
        """
        renamed = {name: value for name, value in changes.items() if name != "snr_db"}
        if "snr_db" in changes:
            renamed["snr"] = Fixed(changes["snr_db"])
        self.settings = replace(self.settings, **renamed)
        self.version += 1

    def reset(self, now: float) -> None:
        """Back to the configured settings; a schedule or a walk starts over."""
        self.settings, self._started = self._configured, now
        self.version += 1

    def transmit(self, symbols: NDArray[np.complex64], tolerance: float, sequence: int, now: float) -> Delivered | Lost:
        """Send one frame's symbols through the channel, or lose them.

        symbols    complex64 [k], as the transmitter sent them
        tolerance  of the power check: largest distance of mean |s|^2 from 1
        sequence   of the frame: it fixes loss, gain and noise
        raises     FrameError if the transmitter must not send this: not_finite, power
        """
        settings = self.settings
        checked = check(symbols, settings.power, tolerance)
        if settings.outage:
            self.lost += 1
            return Lost("outage", f"link {self} is in outage; switch it off in the emulator")
        if settings.loss > 0.0 and self._streams.of(Purpose.LOSS, sequence).random() < settings.loss:
            self.lost += 1
            return Lost("loss", f"link {self} loses {settings.loss:.3g} of its frames; this was one")
        output = apply_channel(checked.symbols, settings, self.snr_db(now), self._streams, sequence)
        self.frames += 1
        self.measured_snr_db = output.measured_snr_db
        return Delivered(output, checked)

    def delay(self, sequence: int) -> float:
        """Seconds to hold a frame back: Gaussian, never negative, at most LONGEST_DELAY_MS."""
        mean, deviation = self.settings.delay_ms, self.settings.jitter_ms
        if deviation > 0.0:
            mean += deviation * self._streams.of(Purpose.DELAY, sequence).standard_normal()
        return min(max(0.0, mean), LONGEST_DELAY_MS) * 1e-3
