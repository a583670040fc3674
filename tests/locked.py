"""Services with locks, in tests: what a party of `vergence certs` has, as a section and as keys."""

from pathlib import Path
from typing import Any

from wire.security.https import HttpsCertificate
from wire.security.keyring import Keyring
from wire.security.section import HttpsSection, SecuritySection


def section(folder: Path, *, tls: bool = True) -> dict[str, Any]:
    """The `security` section of whoever owns a folder of `vergence certs`. tls: False leaves tokens only."""
    made: dict[str, Any] = {}
    if tls:
        files = {"certificate": "certificate.pem", "key": "key.pem", "authority": "authority.pem"}
        made["tls"] = {key: str(folder / name) for key, name in files.items()}
    for key, name in (("tokens", "tokens.yaml"), ("token", "token")):
        if (folder / name).exists():
            made[key] = str(folder / name)
    return made


def keys(folder: Path, *, tls: bool = True) -> Keyring:
    return Keyring(SecuritySection.model_validate(section(folder, tls=tls)))


def https(certificate: Path, key: Path) -> HttpsCertificate:
    """The page's, of two files."""
    return HttpsCertificate(HttpsSection(certificate=str(certificate), key=str(key)), "page")
