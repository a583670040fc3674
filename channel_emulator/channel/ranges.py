"""The range that each numeric setting of a link must lie in; the one home of these limits."""

from dataclasses import dataclass
from typing import Final

from wire.geometry import SYMBOLS
from wire.runtime.errors import UserError


@dataclass(frozen=True, slots=True)
class Range:
    """Allowed values, both ends included; `infinite` also allows +inf. NaN is never allowed."""

    low: float
    high: float
    unit: str = ""
    infinite: bool = False

    def refusal(self, value: float) -> str | None:
        """Why a value is not allowed, in words that follow the name of the setting; None if it is."""
        if self.low <= value <= self.high or (self.infinite and value == float("inf")):
            return None
        unit = f" {self.unit}" if self.unit else ""
        noiseless = ", or be inf for noiseless" if self.infinite else ""
        return f"must lie between {self.low:g} and {self.high:g}{unit}{noiseless}"


LONGEST_DELAY_MS: Final = 2_000.0
"""Of the delay that a frame may get, jitter included: an edge takes a link without an answer for 3 s for dead."""

RANGES: Final = {
    "snr_db": Range(-50.0, 100.0, "dB", infinite=True),
    "coherence": Range(1, SYMBOLS, "symbols"),
    "k_factor_db": Range(-50.0, 100.0, "dB"),
    "doppler": Range(0.0, 0.5, "cycles a symbol"),
    "loss": Range(0.0, 1.0),
    "delay_ms": Range(0.0, LONGEST_DELAY_MS, "ms"),
    "jitter_ms": Range(0.0, LONGEST_DELAY_MS, "ms"),
    "csi_error": Range(0.0, 10.0),
}


def check(name: str, value: float) -> None:
    """raises UserError with one line if a setting is out of its range"""
    refusal = RANGES[name].refusal(value)
    if refusal:
        raise UserError(f"{name} {refusal} (got {value:g})")
