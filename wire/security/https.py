"""HTTPS for what browsers and Prometheus read: a certificate that may be renewed while it counts.

Not mutual, unlike gRPC: who asks is told by tokens.
"""

import ssl
import time
from collections.abc import Callable

from wire.runtime.errors import UserError
from wire.security.expiry import ends
from wire.security.followed import Followed
from wire.security.secret_files import located, warn_if_open
from wire.security.section import HttpsSection


class HttpsCertificate:
    """Certificate and key, PEM files. Each handshake sees them as they are then."""

    def __init__(self, section: HttpsSection, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        """name: of the section, such as "metrics". raises UserError that names the files"""
        certificate, key = located(section.certificate), located(section.key)

        def read() -> tuple[ssl.SSLContext, float]:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.set_alpn_protocols(["http/1.1"])
            try:
                context.load_cert_chain(certificate, key, password=lambda: "")  # else OpenSSL would ask at the terminal
                warn_if_open(key, key.stat().st_mode)
                return context, min(ends(certificate.read_bytes()))
            except (ssl.SSLError, OSError, ValueError):
                raise UserError(
                    f"{name}.certificate {certificate} and {name}.key {key} are no readable PEM pair; give both"
                ) from None

        self._followed = Followed([certificate, key], read, f"certificate of {name}")
        self._clock = clock

    def context(self) -> ssl.SSLContext:
        """To serve with; the same object until the files change."""
        return self._followed.value(self._clock())[0]

    def expires_at(self) -> float:
        """Unix time at which the certificate, as it is now, counts no more."""
        return self._followed.value(self._clock())[1]
