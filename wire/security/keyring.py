"""Everything that a service locks its doors with, and opens others' with: TLS, the tokens it takes, its own token."""

import math
import time
from typing import Final

import grpc

from wire.security import certificates
from wire.security.certificates import Certificates, Pems
from wire.security.followed import Followed
from wire.security.secret_files import located, read_secret
from wire.security.section import SecuritySection
from wire.security.token_file import TokenFile

Metadata = tuple[tuple[str, str], ...]


class Keyring:
    """What a `security` section names, read. Nothing in it is ever shown."""

    def __init__(self, section: SecuritySection) -> None:
        """raises UserError that names the file that is missing or wrong"""
        self.certificates = Certificates(section.tls) if section.tls else None
        """None is plain text."""
        self.book = TokenFile(section.tokens) if section.tokens else None
        """None is that everybody may do everything."""
        self._token: Followed[str] | None = None
        if section.token:
            file = located(section.token)
            self._token = Followed([file], lambda: read_secret(file), "token")
        self._made: tuple[Pems, grpc.ChannelCredentials] | None = None

    def server_credentials(self) -> grpc.ServerCredentials | None:
        """To listen with; None is plain text."""
        return self.certificates.for_server() if self.certificates else None

    def channel_credentials(self) -> grpc.ChannelCredentials | None:
        """To connect with, the same object until the files change; None is plain text."""
        if self.certificates is None:
            return None
        pems = self.certificates.pems()
        if self._made is None or self._made[0] is not pems:
            self._made = (pems, certificates.for_client(pems))
        return self._made[1]

    def expires_at(self) -> float:
        """Unix time from which on our certificate counts no more, as the files are now; +inf is plain text."""
        return self.certificates.pems().ends if self.certificates else math.inf

    def metadata(self, *further: tuple[str, str]) -> Metadata:
        """What a call of ours says of us, our token first."""
        if self._token is None:
            return further
        return (("authorization", f"Bearer {self._token.value(time.monotonic())}"), *further)


NO_KEYS: Final = Keyring(SecuritySection())
"""Plain text, and no token."""
