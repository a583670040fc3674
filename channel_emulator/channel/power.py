"""The power check: what a transmitter may put on air."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wire.contract.link_settings import PowerPolicy
from wire.runtime.errors import FrameError
from wire.units import POWER, mean_power, normalise_power


@dataclass(frozen=True, slots=True)
class Checked:
    """Symbols fit for the air.

    symbols   complex64 [k]
    power     mean |s|^2 as it came
    unusual   whether that power was out of tolerance
    """

    symbols: NDArray[np.complex64]
    power: float
    unusual: bool


def check(symbols: NDArray[np.complex64], policy: PowerPolicy, tolerance: float) -> Checked:
    """Check finiteness and power of one frame.

    symbols    complex64 [k], k above 0
    policy     what to do when mean |s|^2 is further than `tolerance` from 1
    raises     FrameError `not_finite` if a symbol is NaN or infinite, whatever the policy; `power` if the policy
               rejects, or has nothing to scale
    """
    power = mean_power(symbols)
    if abs(power - POWER) <= tolerance:
        return Checked(symbols, power, unusual=False)
    if not np.isfinite(power):
        broken = int(np.count_nonzero(~np.isfinite(symbols)))
        if broken:
            raise FrameError(
                "not_finite", f"{broken} of {symbols.size} symbols are NaN or infinite; check the encoder's output"
            )
        raise FrameError("power", "mean power |s|^2 is too large for 32-bit numbers; scale each picture to 1")
    if policy is PowerPolicy.WARN:
        return Checked(symbols, power, unusual=True)
    if policy is PowerPolicy.NORMALISE and power > 0.0:
        return Checked(normalise_power(symbols), power, unusual=True)
    raise FrameError(
        "power", f"mean power |s|^2 is {power:.4g} and must be 1 within {tolerance:g}; scale each picture to 1"
    )
