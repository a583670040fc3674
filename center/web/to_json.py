"""Figures as JSON can carry them."""

import math
from collections.abc import Mapping
from typing import Any


def to_json(value: Any) -> Any:
    """The same value in JSON's types: NaN and infinities become null, mappings dicts, unknown things text."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): to_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(each) for each in value]
    return str(value)


def snr_to_json(decibels: float) -> float | str | None:
    """An SNR in dB: a number, "noiseless" for +inf, "absent" for -inf, null for NaN."""
    if math.isinf(decibels):
        return "noiseless" if decibels > 0 else "absent"
    return None if math.isnan(decibels) else decibels


def psnr_to_json(decibels: float) -> float | str | None:
    """A PSNR in dB: a number, "identical" for +inf, null for what is no number."""
    return "identical" if decibels == math.inf else to_json(decibels)
