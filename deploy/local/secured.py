"""Services of one machine with what `vergence certs` has made: mutual TLS on every hop, and a token for each camera."""

from pathlib import Path
from typing import Final

BOOK: Final = "tokens.yaml"
"""Of center and emulator, in a folder of `vergence certs`."""
_TLS: Final = {"certificate": "certificate.pem", "key": "key.pem", "authority": "authority.pem"}


def environment(certs: Path, service: str, party: str) -> dict[str, str]:
    """Overrides that lock a service.

    certs    the folder of `vergence certs`
    service  edge, emulator or center
    party    whose folder in it, such as "demo-left"
    """
    folder, prefix = certs.resolve() / party, f"VERGENCE_{service.upper()}__SECURITY__"
    made = {f"{prefix}TLS__{key.upper()}": str(folder / name) for key, name in _TLS.items()}
    if (folder / BOOK).exists():
        made[f"{prefix}TOKENS"] = str(folder / BOOK)
    if (folder / "token").exists():
        made[f"{prefix}TOKEN"] = str(folder / "token")
    return made


def bearer(certs: Path | None, party: str) -> dict[str, str]:
    """The HTTP header with somebody's token; none without certificates."""
    if certs is None:
        return {}
    return {"Authorization": f"Bearer {(certs / party / 'token').read_text().strip()}"}
