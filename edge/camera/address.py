"""The address of a network camera: what may be shown of it, and what FFmpeg is given."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

PORTS: Final = {
    "rtsp": 554,
    "rtsps": 322,
    "rtmp": 1935,
    "http": 80,
    "https": 443,
    "tcp": None,
    "udp": None,
    "srt": None,
}
"""Schemes that are taken, with the port that each means where none is given."""

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.+)", re.DOTALL)
_HOST: Final = re.compile(
    r"([A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?\])(?::(\d{1,5}))?"
)
_KEPT: Final = "%!$&'()*+,;=-._~"


@dataclass(frozen=True, slots=True)
class CameraAddress:
    """A network camera's address in its parts. Only `shown` may be logged: everything else can hold a password.

    scheme  in lower case, one of PORTS
    host    a name or an IP address, IPv6 in brackets
    port    None if none is given and the scheme has none
    url     for FFmpeg: user name and password are quoted as it needs them
    """

    scheme: str
    host: str
    port: int | None
    url: str
    given_port: bool

    @property
    def shown(self) -> str:
        """Scheme, host and, if it was given, port."""
        return f"{self.scheme}://{self.host}" + (f":{self.port}" if self.given_port else "")


def parse_address(text: str) -> CameraAddress:
    """Take an address apart; what stands before its last "@" is user name and password, whatever letters they have.

    raises  ValueError with a line that says what is wrong and shows nothing of the address
    """
    found = _SCHEME.fullmatch(text.strip())
    if found is None or found[1].lower() not in PORTS:
        raise ValueError(
            f"not an address of a camera; begin it with one of {', '.join(f'{name}://' for name in PORTS)}"
        )
    scheme, rest = found[1].lower(), found[2]
    login, at, place = rest.rpartition("@")
    host, port, tail = _place(place)
    if at and _might_be_a_path(login):
        raise ValueError(
            "an '@' after the host can be read in two ways; write '@' in a path as %40, and in a user name or password"
            " '/' as %2F, '?' as %3F and '#' as %23"
        )
    user, colon, password = login.partition(":")
    quoted = quote(user, safe=_KEPT) + colon + quote(password, safe=_KEPT) + at
    number = PORTS[scheme] if port is None else port
    written = host if port is None else f"{host}:{port}"
    return CameraAddress(scheme, host, number, f"{scheme}://{quoted}{written}{tail}", port is not None)


def _place(text: str) -> tuple[str, int | None, str]:
    """host:port/path?query in its parts."""
    at = re.search(r"[/?#]", text)
    authority, tail = (text, "") if at is None else (text[: at.start()], text[at.start() :])
    found = _HOST.fullmatch(authority)
    if found is None or (found[2] and not 0 < int(found[2]) <= 65535) or re.search(r"\s", tail):
        raise ValueError("not an address of a camera; write it as rtsp://user:password@host:port/path")
    return found[1], int(found[2]) if found[2] else None, tail


def _might_be_a_path(login: str) -> bool:
    """Whether what stands before the last "@" begins with a whole host[:port] and goes on with a path, so that the "@"
    may belong to the path: then nobody can tell which part is secret."""
    authority = re.split(r"[/?#]", login, maxsplit=1)[0]
    if authority == login:
        return False
    return _HOST.fullmatch(authority.rpartition("@")[2]) is not None
