"""Every setting of one link."""

from dataclasses import dataclass, field

from channel_emulator.channel.snr import Fixed, SnrSource
from wire.contract.link_settings import RANGED, SETTINGS, Csi, Model, PowerPolicy, check_range


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

    model: Model = SETTINGS["model"].default
    snr: SnrSource = field(default_factory=lambda: Fixed(SETTINGS["snr_db"].default))
    coherence: int = SETTINGS["coherence"].default
    k_factor_db: float = SETTINGS["k_factor_db"].default
    doppler: float = SETTINGS["doppler"].default
    outage: bool = SETTINGS["outage"].default
    loss: float = SETTINGS["loss"].default
    delay_ms: float = SETTINGS["delay_ms"].default
    jitter_ms: float = SETTINGS["jitter_ms"].default
    csi: Csi = SETTINGS["csi"].default
    csi_error: float = SETTINGS["csi_error"].default
    power: PowerPolicy = SETTINGS["power"].default
    power_tolerance: Tolerance = Tolerance()

    def __post_init__(self) -> None:
        """raises UserError if a setting is out of its range"""
        for name in RANGED:
            if name != "snr_db":
                check_range(name, getattr(self, name))
        if isinstance(self.snr, Fixed):
            check_range("snr_db", self.snr.snr_db)
