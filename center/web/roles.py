"""Which role may do what at the page: the one table. What is not in it is refused as soon as there are tokens."""

from dataclasses import dataclass
from typing import Final

from wire.security.tokens import Role

EVERYBODY: Final = None
"""Also without a token."""
_WATCH: Final = frozenset({Role.VIEWER, Role.OPERATOR})


@dataclass(frozen=True, slots=True)
class Door:
    """One route by one method.

    method  of HTTP, HEAD being GET; "WS" is a WebSocket
    path    as the route is declared
    roles   who may; None is everybody
    text    what it gives, for SECURITY.md
    """

    method: str
    path: str
    roles: frozenset[Role] | None
    text: str


DOORS: Final = (
    Door("GET", "/", _WATCH, "the page; without a login it leads to `/login`"),
    Door("GET", "/static", EVERYBODY, "its style and scripts, which are public anyway"),
    Door("GET", "/login", EVERYBODY, "the form"),
    Door("POST", "/login", EVERYBODY, "a token for a session"),
    Door("POST", "/logout", EVERYBODY, "ends the session that comes with it"),
    Door("GET", "/healthz", EVERYBODY, "probes have no token; it says whether the center is ready, and why not"),
    Door("GET", "/metrics", frozenset({Role.METRICS}), "for Prometheus"),
    Door("GET", "/api/status", _WATCH, "the center, its codec and its rigs"),
    Door("GET", "/api/links", _WATCH, "every link of the channel emulator"),
    Door("PATCH", "/api/links/{rig:path}/{view}", frozenset({Role.OPERATOR}), "changes settings of a link"),
    Door("POST", "/api/links/{rig:path}/{view}/reset", frozenset({Role.OPERATOR}), "a link back to its configuration"),
    Door("WS", "/ws", _WATCH, "decoded pairs"),
)
_ROLES: Final = {(door.method, door.path): door.roles for door in DOORS}


def roles_of(method: str, path: str) -> frozenset[Role] | None:
    """Who may; nobody, if nobody has thought of it. HEAD is GET."""
    return _ROLES.get(("GET" if method == "HEAD" else method, path), frozenset())
