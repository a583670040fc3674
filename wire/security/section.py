"""The `security` section that every service has, and the rule about plain text."""

import ipaddress
from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Self

from pydantic import AfterValidator, model_validator

from wire.runtime.yaml_config import SECRET, Section

_REMEDY: Final = "set {} (`vergence certs` makes what it takes)"


def _path(text: str) -> str:
    if text.startswith("vgt_") or "-----BEGIN" in text:
        raise ValueError("this is a secret itself; put it into a file and write the path of that here")
    return text


FileName = Annotated[str, AfterValidator(_path), SECRET]  # not to be shown: it may be the secret itself
"""Path of a file; "" is none. `~/` and `$CREDENTIALS_DIRECTORY/` in front are what they say."""


class TlsSection(Section):
    """What a service shows to others, and whom it believes. PEM files, read again when they change."""

    certificate: FileName = ""
    key: FileName = ""
    authority: FileName = ""

    @model_validator(mode="after")
    def _together(self) -> Self:
        lacking = [name for name in TlsSection.model_fields if not getattr(self, name)]
        if 0 < len(lacking) < len(TlsSection.model_fields):
            raise ValueError(f"certificate, key and authority go together; set {' and '.join(lacking)} too")
        return self

    def __bool__(self) -> bool:
        """Whether there is TLS at all."""
        return bool(self.certificate)


class HttpsSection(Section):
    """What a port shows that speaks HTTP: a certificate and its key. PEM files, read again when they change."""

    certificate: FileName = ""
    key: FileName = ""

    @model_validator(mode="after")
    def _together_or_plain(self) -> Self:
        if bool(self.certificate) != bool(self.key):
            raise ValueError("certificate and key go together; set both, or none for plain HTTP")
        return self


class MetricsDoor(HttpsSection):
    """Where Prometheus scrapes, and who may.

    tokens  book of those who may: by a token of role metrics; "" lets everybody read
    """

    host: str = "127.0.0.1"
    tokens: FileName = ""

    def open_to_others(self, port: int) -> list[str]:
        """A line for what an address beyond this host lacks. Told and not refused: these are figures, not pictures."""
        lines = list[str]()
        if not port or is_loopback(f"{self.host}:{port}"):
            return []
        if not self.certificate:
            lines.append(
                f"metrics.host {self.host} shows figures in plain HTTP; set metrics.certificate and metrics.key"
            )
        if not self.tokens:
            lines.append(f"metrics.host {self.host} shows figures to everybody; set metrics.tokens")
        return lines


class SecuritySection(Section):
    """Who is let in, and as whom the service calls others."""

    tls: TlsSection = TlsSection()
    tokens: FileName = ""
    token: FileName = ""
    allow_insecure: bool = False


class SecuredConfig(Section):
    """Base of a service's configuration: no door of it is open by mistake."""

    TAKES_TOKENS: ClassVar[bool] = True
    """Whether `security.tokens` does anything here."""
    SHOWS_TOKEN: ClassVar[bool] = True
    """Whether `security.token` does."""

    security: SecuritySection = SecuritySection()

    def listens(self) -> Mapping[str, str]:
        """Addresses that it serves gRPC on, by key."""
        return {}

    def connects(self) -> Mapping[str, str]:
        """Addresses that it calls, by key; "" is none."""
        return {}

    def open_doors(self) -> list[str]:
        """A line for each address beyond this host that is not locked, with what to do."""
        security, lines = self.security, []
        for key, address in self.listens().items():
            if is_loopback(address):
                continue
            if not security.tls:
                lines.append(f"{key} {address} is open to the network in plain text; {_REMEDY.format('security.tls')}")
            if not security.tokens:
                line = f"{key} {address} lets everybody do everything; {_REMEDY.format('security.tokens')}"
                lines.append(line)
        for key, address in self.connects().items():
            if address and not security.tls and not is_loopback(address):
                lines.append(f"{key} {address} would be called in plain text; {_REMEDY.format('security.tls')}")
        return lines

    @model_validator(mode="after")
    def _locked(self) -> Self:
        for key, used in (("tokens", self.TAKES_TOKENS), ("token", self.SHOWS_TOKEN)):
            if getattr(self.security, key) and not used:
                raise ValueError(f"security.{key} does nothing in this service; remove it")
        lines = self.open_doors()
        if lines and not self.security.allow_insecure:
            raise ValueError(f"{lines[0]}, or security.allow_insecure: true")
        return self


def is_loopback(address: str) -> bool:
    """Whether an address of a configuration, `host:port` or a name of gRPC, stays on this host for certain.

    Names other than localhost are not looked up: what they lead to may change.
    """
    scheme = next((each for each in ("dns:", "ipv4:", "ipv6:") if address.startswith(each)), "")
    hosts = [place.rpartition(":")[0] for place in address.removeprefix(scheme).lstrip("/").split(",")]
    return all(_is_loopback_host(host.removeprefix("[").removesuffix("]")) for host in hosts)


def _is_loopback_host(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
