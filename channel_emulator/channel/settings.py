"""Every setting of one link."""

from dataclasses import dataclass, field
from enum import StrEnum

from channel_emulator.channel.ranges import RANGES, check
from channel_emulator.channel.snr import Fixed, SnrSource
from wire.geometry import SYMBOLS


class Model(StrEnum):
    """The law of the channel."""

    CLEAN = "clean"
    AWGN = "awgn"
    RAYLEIGH = "rayleigh"
    RICIAN = "rician"
    JAKES = "jakes"


class Csi(StrEnum):
    """What is told of the channel."""

    NONE = "none"
    PERFECT = "perfect"
    NOISY = "noisy"


class PowerPolicy(StrEnum):
    """What happens to a frame whose power is not 1."""

    REJECT = "reject"
    NORMALISE = "normalise"
    WARN = "warn"


@dataclass(frozen=True)
class Tolerance:
    """Largest allowed distance of mean |s|^2 from 1 for each sample type; coarse samples miss 1 by rounding."""

    f32: float = 1e-3
    f16: float = 2e-3
    i8: float = 1e-2


@dataclass(frozen=True, slots=True)
class Settings:
    """How a link behaves, immutable: a change makes another one.

    snr          where the mean Es/N0 in dB comes from
    coherence    symbols that share one gain (rayleigh, rician)
    k_factor_db  power of the line of sight over the power of the scattered part (rician)
    doppler      fd * Ts, cycles a symbol (jakes)
    outage       no frame passes
    loss         chance that a frame is lost
    delay_ms, jitter_ms  mean and standard deviation of the added delay; 0 to 2 s in all, order is kept
    csi_error    standard deviation of the complex error of each told gain (csi: noisy)
    """

    model: Model = Model.AWGN
    snr: SnrSource = field(default_factory=lambda: Fixed(10.0))
    coherence: int = SYMBOLS
    k_factor_db: float = 6.0
    doppler: float = 1e-4
    outage: bool = False
    loss: float = 0.0
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    csi: Csi = Csi.PERFECT
    csi_error: float = 0.1
    power: PowerPolicy = PowerPolicy.REJECT
    power_tolerance: Tolerance = Tolerance()

    def __post_init__(self) -> None:
        """raises UserError if a setting is out of its range"""
        for name in RANGES.keys() - {"snr_db"}:
            check(name, getattr(self, name))
        if isinstance(self.snr, Fixed):
            check("snr_db", self.snr.snr_db)
