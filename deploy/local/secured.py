"""Services of one machine with what `vergence certs` has made: mutual TLS on every hop, and a token for each camera."""

from pathlib import Path
from typing import Any, Final

from wire.security.keyring import NO_KEYS, Keyring
from wire.security.section import SecuritySection

BOOK: Final = "tokens.yaml"
"""Of center and emulator, in a folder of `vergence certs`."""
_TLS: Final = {"certificate": "certificate.pem", "key": "key.pem", "authority": "authority.pem"}


class Parties:
    """What everybody has, by the name of the folder, such as "demo-left"; without certificates nobody has anything."""

    def __init__(self, certs: Path | None) -> None:
        """certs: the folder of `vergence certs`."""
        self._certs = certs.resolve() if certs else None

    def section(self, party: str) -> dict[str, Any]:
        """The `security` section of a party's configuration."""
        if self._certs is None:
            return {}
        folder = self._certs / party
        made: dict[str, Any] = {"tls": {key: str(folder / name) for key, name in _TLS.items()}}
        for key, name in (("tokens", BOOK), ("token", "token")):
            if (folder / name).exists():
                made[key] = str(folder / name)
        return made

    def environment(self, service: str, party: str) -> dict[str, str]:
        """The same as overrides. service: edge, emulator or center"""
        prefix, section = f"VERGENCE_{service.upper()}__SECURITY__", self.section(party)
        made = {f"{prefix}TLS__{key.upper()}": path for key, path in section.pop("tls", {}).items()}
        return made | {f"{prefix}{key.upper()}": path for key, path in section.items()}

    def keys(self, party: str) -> Keyring:
        """For a client of ours."""
        section = self.section(party)
        return Keyring(SecuritySection.model_validate(section)) if section else NO_KEYS

    def bearer(self, party: str) -> dict[str, str]:
        """The HTTP header with a party's token."""
        return {key.title(): value for key, value in self.keys(party).metadata()}
