"""The TLS of a service: its own certificate, and the authority that those of all others must come from.

Mutual on every hop: a client without a certificate of that authority reaches nothing, not even the health service.
"""

import logging
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import grpc

from wire.runtime.errors import UserError, cause
from wire.security.expiry import ends
from wire.security.followed import Followed
from wire.security.secret_files import located, warn_if_open
from wire.security.section import TlsSection

_REASONS: Final = (
    ("Hostname Verification Check failed", "its certificate is not made for this name; add it: vergence certs --host"),
    ("certificate has expired", "its certificate has expired; renew it: vergence certs --renew"),
    ("certificate is not yet valid", "its certificate is not valid yet; set the clocks of both hosts"),
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is not of our security.tls.authority; use one authority for all"),
    ("WRONG_VERSION_NUMBER", "it speaks plain text, and we TLS; set security.tls there, or nowhere"),
    ("andshake failed", "the TLS handshake failed; check security.tls on both sides"),
    ("Socket closed", "it hung up at once; it wants a certificate that it knows: check security.tls on both sides"),
)
"""What gRPC says of a connection that does not come about, and what that means."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pems:
    """PEM texts. authority: one certificate or more; ends: Unix time from which on they do not count any more."""

    certificate: bytes
    key: bytes = field(repr=False)
    authority: bytes
    ends: float


class Certificates:
    """The files of a `tls` section, followed."""

    def __init__(self, section: TlsSection, clock: Callable[[], float] = time.monotonic) -> None:
        """raises UserError that names the file that is missing or wrong"""
        files = [located(path) for path in (section.certificate, section.key, section.authority)]
        self._followed = Followed(files, lambda: read_pems(*files), "certificate")
        self._clock = clock

    def pems(self) -> Pems:
        """As the files are; the same object until they change."""
        return self._followed.value(self._clock())

    def for_server(self) -> grpc.ServerCredentials:
        """Take clients of our authority only. Each new connection sees the files as they are then."""
        told = self.pems()

        def changed() -> grpc.ServerCertificateConfiguration | None:
            nonlocal told
            former, told = told, self.pems()
            return None if told is former else _configuration(told)

        return grpc.dynamic_ssl_server_credentials(
            _configuration(told),
            changed,  # type: ignore[arg-type]  # None is no change; the stub has forgotten it
            require_client_authentication=True,
        )


def read_pems(certificate: Path, key: Path, authority: Path) -> Pems:
    """Those that have ended are told in the log, and taken: they are renewed while we run.

    raises  UserError if one cannot be read, or they do not fit each other
    """
    own, private, believed = _read(certificate), _read(key), _read(authority)
    warn_if_open(key, key.stat().st_mode)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password=lambda: "")  # else OpenSSL would ask at the terminal
        end = min(ends(own))
    except (ssl.SSLError, OSError, ValueError):
        raise UserError(f"certificate {certificate} and key {key} are not PEM files of one pair; give both") from None
    try:
        context.load_verify_locations(cadata=believed.decode("ascii"))
        end = min(end, max(ends(believed)))  # of several authorities, the last one's end is theirs
    except (ssl.SSLError, ValueError):
        raise UserError(f"authority {authority}: not a PEM certificate; give that of the authority") from None
    if end <= time.time():  # the other side will only hang up, and cannot say why
        ended = f"{datetime.fromtimestamp(end, UTC):%Y-%m-%d %H:%M}"
        _log.error(
            "certificate %s or its authority ended on %s UTC; renew: vergence certs DIR --renew", certificate, ended
        )
    return Pems(own, private, believed, end)


def for_client(pems: Pems) -> grpc.ChannelCredentials:
    """Take a server of our authority that is called as its certificate says, and show it ours."""
    return grpc.ssl_channel_credentials(pems.authority, pems.key, pems.certificate)


def why_no_connection(details: str) -> str:
    """In our words, what keeps a connection from coming about.

    details  that gRPC gives with UNAVAILABLE
    returns  "" if it is neither TLS nor the lack of it
    """
    if "failed to connect" not in details:
        return ""
    return next((meaning for said, meaning in _REASONS if said in details), "")


def _configuration(pems: Pems) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(pems.key, pems.certificate)], pems.authority)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"security.tls: {file}: {cause(error)}; give a file that this service may read") from None
