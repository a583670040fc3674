"""The settings of an emulated link: one table of names, kinds, ranges, units and defaults.

The emulator's `Settings` and configuration, the proto message `LinkSettings`, the page's JSON and its controls all
speak of these. What can be derived is derived from here; the rest is held to it by tests.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Literal

from wire.geometry import DEFAULT_SIZE, LARGEST_SIZE
from wire.runtime.errors import UserError
from wire.v1 import channel_control_service_pb2 as control_pb2


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


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a link.

    default    of its kind; a member of `words` for a word
    kind       number (float), count (int), switch (bool) or word
    low, high  of a number or a count, both ends included; NaN is never allowed
    infinite   +inf is allowed too, for noiseless
    words      the allowed words
    live       can be changed while the emulator runs; otherwise it stands in the configuration only
    """

    default: Any
    kind: Literal["number", "count", "switch", "word"] = "number"
    low: float = 0.0
    high: float = 0.0
    unit: str = ""
    infinite: bool = False
    words: type[StrEnum] | None = None
    live: bool = True

    def refusal(self, value: float) -> str | None:
        """Why a number or a count is not allowed, in words that follow the setting's name; None if it is."""
        if self.low <= value <= self.high or (self.infinite and value == float("inf")):
            return None
        unit = f" {self.unit}" if self.unit else ""
        noiseless = ", or be inf for noiseless" if self.infinite else ""
        return f"must lie between {self.low:g} and {self.high:g}{unit}{noiseless}"


LONGEST_DELAY_MS: Final = 2_000.0
"""Of the delay that a frame may get, jitter included: an edge takes a link without an answer for 3 s for dead."""

SETTINGS: Final[Mapping[str, Setting]] = {
    "model": Setting(Model.AWGN, "word", words=Model),
    "snr_db": Setting(10.0, low=-50.0, high=100.0, unit="dB", infinite=True),
    "coherence": Setting(DEFAULT_SIZE.symbols, "count", low=1, high=LARGEST_SIZE.symbols, unit="symbols"),
    "k_factor_db": Setting(6.0, low=-50.0, high=100.0, unit="dB"),
    "doppler": Setting(1e-4, high=0.5, unit="cycles a symbol"),
    "outage": Setting(False, "switch"),
    "loss": Setting(0.0, high=1.0),
    "delay_ms": Setting(0.0, high=LONGEST_DELAY_MS, unit="ms"),
    "jitter_ms": Setting(0.0, high=LONGEST_DELAY_MS, unit="ms"),
    "csi": Setting(Csi.PERFECT, "word", words=Csi),
    "csi_error": Setting(0.1, high=10.0, live=False),
    "power": Setting(PowerPolicy.REJECT, "word", words=PowerPolicy),
}

RANGED: Final = tuple(name for name, setting in SETTINGS.items() if setting.kind in ("number", "count"))
"""Names of the settings that must lie in a range."""

LIVE: Final = tuple(name for name, setting in SETTINGS.items() if setting.live)
"""Names of the settings that can be changed while the emulator runs: the fields of the message LinkSettings."""

_ENUMS: Final[Mapping[str, Any]] = {
    "model": control_pb2.ChannelModel,
    "csi": control_pb2.CsiPolicy,
    "power": control_pb2.PowerPolicy,
}
_PREFIXES: Final = {"model": "CHANNEL_MODEL_", "csi": "CSI_POLICY_", "power": "POWER_POLICY_"}


def check_range(name: str, value: float) -> None:
    """raises UserError with one line if a setting is out of its range"""
    refusal = SETTINGS[name].refusal(value)
    if refusal:
        raise UserError(f"{name} {refusal} (got {value:g})")


def to_proto(values: Mapping[str, Any]) -> control_pb2.LinkSettings:
    """Settings by name, words as text, to the wire; what is not named is not set."""
    given: dict[str, Any] = {
        name: _ENUMS[name].Value(_PREFIXES[name] + value.upper()) if name in _ENUMS else value
        for name, value in values.items()
    }
    return control_pb2.LinkSettings(**given)


def from_proto(settings: control_pb2.LinkSettings) -> dict[str, Any]:
    """The settings that are set, by name; words as members of their enumerations.

    raises  UserError if a word has no meaning here
    """
    given: dict[str, Any] = {}
    for field, value in settings.ListFields():
        words = SETTINGS[field.name].words
        given[field.name] = value if words is None else _word(field.name, words, value)
    return given


def _word(name: str, words: type[StrEnum], number: int) -> StrEnum:
    known = {_ENUMS[name].Value(_PREFIXES[name] + word.name): word for word in words}
    if number not in known:
        allowed = ", ".join(_PREFIXES[name] + word.name for word in words)
        raise UserError(f"{name} {number} is unknown; set one of {allowed}")
    return known[number]
