"""The emulator's configuration file: `deploy/config/emulator.yaml` explains every key."""

from dataclasses import fields
from pathlib import Path
from typing import Any, Final, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from channel_emulator.channel.randomness import RandomStreams
from channel_emulator.channel.settings import Settings, Tolerance
from channel_emulator.channel.snr import Fixed, RandomWalk, Schedule, SnrSource
from wire.contract.link_settings import RANGED, SETTINGS, Csi, Model, PowerPolicy
from wire.contract.names import RigName
from wire.contract.sizes import Size
from wire.geometry import LARGEST_SIZE
from wire.runtime.errors import UserError
from wire.runtime.yaml_config import Address, Section
from wire.security.section import MetricsDoor, SecuredConfig
from wire.views import View

_SNR_KEYS: Final = ("snr_db", "schedule", "walk")
_DEFAULT: Final = Settings()


def _within(name: str, value: float) -> float:
    refusal = SETTINGS[name].refusal(value)
    if refusal:
        raise ValueError(refusal)
    return value


class ScheduleSection(Section):
    """SNR by a CSV file with the header time_s,snr_db."""

    file: Path
    interpolate: bool = False
    loop: bool = True

    @model_validator(mode="after")
    def _readable(self) -> Self:
        self.read()
        return self

    def read(self) -> Schedule:
        try:
            return Schedule.read(self.file, self.interpolate, self.loop)
        except UserError as problem:
            raise ValueError(str(problem)) from None


class WalkSection(Section):
    """SNR by a random walk between two walls."""

    start_db: float = 10.0
    step_db: float = Field(default=1.0, ge=0.0, le=100.0, allow_inf_nan=False)
    low_db: float = 0.0
    high_db: float = 20.0

    @field_validator("low_db", "high_db")
    @classmethod
    def _possible(cls, value: float) -> float:
        if value == float("inf"):
            raise ValueError("must be finite")
        return _within("snr_db", value)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low_db <= self.start_db <= self.high_db:
            raise ValueError(f"start_db {self.start_db:g} must lie between {self.low_db:g} and {self.high_db:g}")
        return self


class ToleranceSection(Section):
    """Largest allowed distance of mean |s|^2 from 1, by sample type."""

    f32: float = Field(default=Tolerance.f32, ge=0.0, le=1.0)
    f16: float = Field(default=Tolerance.f16, ge=0.0, le=1.0)
    i8: float = Field(default=Tolerance.i8, ge=0.0, le=1.0)


class SettingsSection(Section):
    """Every field of `Settings` as a key; `snr` is one of three."""

    model: Model = _DEFAULT.model
    snr_db: float = _DEFAULT.snr.at(0.0)
    schedule: ScheduleSection | None = None
    walk: WalkSection | None = None
    coherence: int = _DEFAULT.coherence
    k_factor_db: float = _DEFAULT.k_factor_db
    doppler: float = _DEFAULT.doppler
    outage: bool = _DEFAULT.outage
    loss: float = _DEFAULT.loss
    delay_ms: float = _DEFAULT.delay_ms
    jitter_ms: float = _DEFAULT.jitter_ms
    csi: Csi = _DEFAULT.csi
    csi_error: float = _DEFAULT.csi_error
    power: PowerPolicy = _DEFAULT.power
    power_tolerance: ToleranceSection = ToleranceSection()

    @field_validator(*RANGED)
    @classmethod
    def _in_range(cls, value: float, info: ValidationInfo) -> float:
        return _within(str(info.field_name), value)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.schedule and self.walk:
            raise ValueError("schedule and walk exclude each other; keep one")
        return self

    def settings(self, streams: RandomStreams) -> Settings:
        """What the link runs with; `streams` moves a walk."""
        made: dict[str, Any] = {
            "snr": self._source(streams),
            "power_tolerance": Tolerance(**self.power_tolerance.model_dump()),
        }
        plain: dict[str, Any] = {
            each.name: getattr(self, each.name) for each in fields(Settings) if each.name not in made
        }
        return Settings(**made, **plain)

    def _source(self, streams: RandomStreams) -> SnrSource:
        if self.schedule:
            return self.schedule.read()
        if self.walk:
            return RandomWalk(**self.walk.model_dump(), streams=streams)
        return Fixed(self.snr_db)


class LinkSection(SettingsSection):
    """One link; what it does not set comes from `defaults`."""

    rig: RigName
    view: View

    def over(self, defaults: SettingsSection) -> SettingsSection:
        """The defaults with this link's own settings. snr_db, schedule and walk are one choice: a link that
        names any of them inherits neither schedule nor walk."""
        own = {name: getattr(self, name) for name in self.model_fields_set - {"rig", "view"}}
        if any(name in own for name in _SNR_KEYS):
            own = {"schedule": None, "walk": None} | own
        return defaults.model_copy(update=own)


class MetricsSection(MetricsDoor):
    """Port 0 serves nothing."""

    port: int = Field(default=9102, ge=0, le=65535)


class EmulatorConfig(SecuredConfig):
    """The whole file."""

    SHOWS_TOKEN = False  # the center gets to see the camera's

    listen: Address = "127.0.0.1:50052"
    upstream: Address = "127.0.0.1:50051"
    metrics: MetricsSection = MetricsSection()
    seed: int = Field(default=1, ge=0, lt=2**64)
    max_links: int = Field(default=64, ge=1, le=1024)
    largest_size: Size = LARGEST_SIZE
    drain_seconds: float = Field(default=2.0, gt=0.0, le=60.0)
    defaults: SettingsSection = SettingsSection()
    links: tuple[LinkSection, ...] = ()

    def listens(self) -> dict[str, str]:
        return {"listen": self.listen}

    def connects(self) -> dict[str, str]:
        return {"upstream": self.upstream}

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        names = [(link.rig, link.view) for link in self.links]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise ValueError(f"links names {twice[0]}/{twice[1]} twice; keep one")
        if len(names) > self.max_links:
            raise ValueError(f"{len(names)} links are more than max_links {self.max_links}; raise it")
        return self
