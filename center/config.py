"""The center's configuration; deploy/config/center.yaml says in words what every key does."""

import os
import string
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, model_validator

from center.decode.batch_size import MOST
from center.decode.engines import Device, Kind
from wire.codec import DEFAULT
from wire.contract.occupancy import SILENCE_SECONDS
from wire.contract.sizes import Size
from wire.geometry import LARGEST_SIZE
from wire.runtime.yaml_config import Address, Section
from wire.security.section import HttpsSection, SecuredConfig, is_loopback

_HOST_NAME: Final = set(string.ascii_lowercase + string.digits + "-_.")
Port = Annotated[int, Field(ge=0, le=65535)]
Milliseconds = Annotated[float, Field(ge=0.0, le=60_000.0)]


def _host_name(text: str) -> str:
    if not text or not set(text.lower()) <= _HOST_NAME:
        raise ValueError("write a name or an IPv4 address without a port, such as vergence.example")
    return text


HostName = Annotated[str, AfterValidator(_host_name)]


class PageSection(HttpsSection):
    """The page for people and Prometheus."""

    host: str = "127.0.0.1"
    port: Port = 8080
    hosts: tuple[HostName, ...] = ()
    max_connections: PositiveInt = 256
    max_connections_per_client: PositiveInt = 64


class EngineSection(Section):
    """What decodes."""

    kind: Kind = "auto"
    device: Device = "auto"
    threads: Annotated[int, Field(ge=0, le=256)] = 2
    address: Annotated[str, Field(min_length=1, max_length=256)] = "auto"


class PairingSection(Section):
    """How the two views of a rig find each other."""

    tolerance_ms: Milliseconds | None = None
    patience_ms: Milliseconds = 80.0
    silence_ms: Milliseconds = 1e3 * SILENCE_SECONDS


class BatchingSection(Section):
    """How instants of all rigs are put together for the decoder."""

    max_size: Annotated[int, Field(ge=1, le=MOST)] | None = None
    max_delay_ms: Milliseconds = 5.0
    queue: PositiveInt = 64
    queue_per_rig: PositiveInt = 1
    ahead: Annotated[int, Field(ge=0, le=4)] = 0


class LinksSection(Section):
    """The cameras' streams."""

    credit: Annotated[int, Field(ge=1, le=64)] = 3
    age_budget_ms: Milliseconds = 1_000.0
    idle_s: PositiveFloat = 60.0
    max_rigs: PositiveInt = 64
    largest_size: Size = LARGEST_SIZE
    evict_s: PositiveFloat = 60.0
    reunite_s: Annotated[float, Field(ge=0.0, le=3_600.0)] = 0.0


class QualitySection(Section):
    """How reconstructions are measured against references."""

    metric: Literal["psnr", "psnr+ms_ssim", "off"] = "psnr+ms_ssim"
    keep: Annotated[int, Field(ge=1, le=1024)] = 32
    max_bytes: Annotated[int, Field(ge=1 << 20)] = 64 << 20
    max_age_s: PositiveFloat = 5.0


class RecordSection(Section):
    """The recordings: a ring of files on disk."""

    folder: str = ""
    max_bytes: Annotated[int, Field(ge=1 << 20)] = 2 << 30
    max_age_s: PositiveFloat = 7 * 86_400.0
    file_bytes: Annotated[int, Field(ge=1 << 18)] = 64 << 20
    flush_s: Annotated[float, Field(ge=0.01, le=60.0)] = 1.0
    queue: Annotated[int, Field(ge=1, le=256)] = 16
    queue_bytes: Annotated[int, Field(ge=1 << 20)] = 256 << 20
    pictures: bool = True

    @model_validator(mode="after")
    def _holds_four_files(self) -> Self:
        if 4 * self.file_bytes > self.max_bytes:
            raise ValueError(
                f"file_bytes is {self.file_bytes}, more than a quarter of max_bytes {self.max_bytes}; lower it, or the"
                " ring would forget too much at once"
            )
        return self


class CenterConfig(SecuredConfig):
    """Everything."""

    listen: Address = "127.0.0.1:50051"
    emulator: Address | Literal[""] = "127.0.0.1:50052"
    codec: str = DEFAULT
    page: PageSection = PageSection()
    engine: EngineSection = EngineSection()
    pairing: PairingSection = PairingSection()
    batching: BatchingSection = BatchingSection()
    links: LinksSection = LinksSection()
    quality: QualitySection = QualitySection()
    record: RecordSection = RecordSection()
    drain_s: Annotated[float, Field(ge=0.0, le=60.0)] = 3.0

    def listens(self) -> dict[str, str]:
        return {"listen": self.listen}

    def connects(self) -> dict[str, str]:
        return {"emulator": self.emulator}

    def open_doors(self) -> list[str]:
        return [*super().open_doors(), *self._open_page(), *self._open_cluster()]

    def _open_cluster(self) -> list[str]:
        """Ray has TLS of its own, told by the environment."""
        engine = self.engine
        if engine.kind != "ray" or engine.address == "auto" or os.environ.get("RAY_USE_TLS") == "1":
            return []
        if is_loopback(engine.address.removeprefix("ray://")):
            return []
        return [
            f"engine.address {engine.address} is called by Ray in plain text, and what answers there may run code here;"
            " set RAY_USE_TLS=1 and what deploy/ray/README.md says"
        ]

    def _open_page(self) -> list[str]:
        page, lines = self.page, []
        if is_loopback(f"{page.host}:{page.port}"):
            return []
        where = f"page.host {page.host}"
        if not page.certificate:
            lines.append(f"{where} is open to the network in plain HTTP; set page.certificate and page.key")
        if not self.security.tokens:
            lines.append(f"{where} lets everybody see and set everything; set security.tokens")
        return lines
