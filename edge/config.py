"""The edge's configuration: one YAML, explained key by key in `deploy/config/edge.yaml`."""

import math
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from edge.camera.address import parse_address
from wire import codec
from wire.contract.names import RigName
from wire.contract.sizes import Size, SizeOrAuto
from wire.geometry import DEFAULT_SIZE, PictureSize
from wire.runtime.yaml_config import SECRET, Address, Section
from wire.security.section import MetricsDoor, SecuredConfig
from wire.views import View


class CameraKind(StrEnum):
    """Where pictures come from."""

    FOLDER = "folder"
    VIDEO = "video"
    WEBCAM = "webcam"
    RTSP = "rtsp"
    SYNTHETIC = "synthetic"


_NEEDED: Final = {CameraKind.FOLDER: "path", CameraKind.VIDEO: "path", CameraKind.RTSP: "url"}
_ONLY_FOR: Final = {
    "path": {CameraKind.FOLDER, CameraKind.VIDEO},
    "device": {CameraKind.WEBCAM},
    "url": {CameraKind.RTSP},
    "watermark": {CameraKind.SYNTHETIC},
}


_LONGEST_BUDGET_MS: Final = 3_000.0
"""That larger pictures bring about: an edge takes a link without an answer for so long for dead."""


def _camera_url(text: str | None) -> str | None:
    if text is not None:
        parse_address(text)
    return text


def _no_url(value: int | str | None) -> int | str | None:
    if isinstance(value, str) and "://" in value:
        raise ValueError("this is the address of a network camera; set camera.kind to rtsp and camera.url to it")
    return value


class CameraConfig(Section):
    """One camera. Which keys go with a kind is checked: nothing is silently ignored."""

    kind: CameraKind = CameraKind.FOLDER
    path: Annotated[str | None, AfterValidator(_no_url)] = None
    device: Annotated[int | str | None, AfterValidator(_no_url)] = None
    url: Annotated[str | None, AfterValidator(_camera_url), SECRET] = None
    fps: float = Field(default=10.0, ge=0.1, le=240.0, allow_inf_nan=False)
    delay_ms: float | None = Field(default=None, ge=0.0, le=10_000.0, allow_inf_nan=False)
    watermark: bool | None = None
    stall_s: float = Field(default=3.0, ge=0.5, le=600.0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        needed = _NEEDED.get(self.kind)
        if needed and not getattr(self, needed):
            raise ValueError(f"kind '{self.kind}' needs '{needed}'; set it")
        for key, kinds in _ONLY_FOR.items():
            if getattr(self, key) is not None and self.kind not in kinds:
                raise ValueError(f"'{key}' does nothing with kind '{self.kind}'; remove it or set it to null")
        return self

    @property
    def silence_s(self) -> float:
        """After how many seconds without a picture the camera counts as down: `stall_s` from when one was due."""
        return self.stall_s + 1.0 / self.fps


class LinkConfig(Section):
    """Where the symbols go, and how stale they may become."""

    address: Address = "127.0.0.1:50052"
    credit: int = Field(default=3, ge=1, le=64)
    age_budget_ms: int | None = Field(default=None, ge=0, le=3_600_000)
    sample_type: Literal["f32", "f16", "i8"] = "f16"
    assumed_snr_db: float = 10.0
    backoff_first_s: float = Field(default=0.1, gt=0.0, le=1.0)
    backoff_cap_s: float = Field(default=0.5, gt=0.0, le=1.0)

    @field_validator("assumed_snr_db")
    @classmethod
    def _is_a_number(cls, value: float) -> float:
        if math.isnan(value) or value == -math.inf:
            raise ValueError("not an SNR; give dB, or .inf for a noiseless link")
        return value


class CodecConfig(Section):
    """Which encoder, and how much of the machine it may take."""

    name: str = Field(default=codec.DEFAULT, min_length=1)
    threads: int = Field(default=1, ge=0, le=64)


class ReferenceConfig(Section):
    """Untouched pictures for the center, past the channel, so that it can measure PSNR."""

    every: int = Field(default=5, ge=0)
    address: Address = "127.0.0.1:50051"


class MetricsConfig(MetricsDoor):
    """Port 0 serves nothing, None is `EdgeConfig.metrics_port`'s choice."""

    port: int | None = Field(default=None, ge=0, le=65535)


class EdgeConfig(SecuredConfig):
    """One edge: one view of one rig."""

    TAKES_TOKENS = False  # nobody calls an edge

    rig: RigName = "demo"
    view: View = View.LEFT
    size: SizeOrAuto = DEFAULT_SIZE
    largest_size: Size = PictureSize(256, 512)
    camera: CameraConfig = CameraConfig(path="builtin:demo")
    link: LinkConfig = LinkConfig()
    codec: CodecConfig = CodecConfig()
    reference: ReferenceConfig = ReferenceConfig()
    metrics: MetricsConfig = MetricsConfig()

    def connects(self) -> dict[str, str]:
        reference = {"reference.address": self.reference.address} if self.reference.every else {}
        return {"link.address": self.link.address, **reference}

    @property
    def metrics_port(self) -> int:
        """Where Prometheus scrapes, 0 for nowhere. Unless set, each view has its own: one host may run both."""
        return 9103 + self.view.position if self.metrics.port is None else self.metrics.port

    def age_budget_ms(self, size: PictureSize) -> int:
        """How old a frame may become, milliseconds; 0 leaves it to the center.

        Unless set: the camera's delay, which has passed before the edge has the picture, and three frame periods.
        Pictures larger than 128x256 take longer to encode and decode: they get as many times that as they have more
        pixels, up to 3 s.

        size: of the pictures, which with `auto` the first one tells
        """
        if self.link.age_budget_ms is not None:
            return self.link.age_budget_ms
        periods = 3_000 / self.camera.fps
        longer = min(periods * size.pixels / DEFAULT_SIZE.pixels, _LONGEST_BUDGET_MS)
        return round(self._delay_ms + max(periods, longer))

    @property
    def _delay_ms(self) -> float:
        return self.camera.delay_ms or 0.0

    @model_validator(mode="after")
    def _leaves_time(self) -> Self:
        budget = self.link.age_budget_ms
        if budget and budget <= self._delay_ms:
            raise ValueError(
                f"link.age_budget_ms {budget} is used up by camera.delay_ms {self._delay_ms:g}, so no picture would"
                " ever be sent; raise it, or set it to null"
            )
        return self
