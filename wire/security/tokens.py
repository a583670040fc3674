"""Tokens and the roles that they stand for. Pure: no gRPC, no clock, no file.

A token is 32 random bytes as text behind a prefix that scanners of leaked secrets can look for. A service keeps only
the SHA-256 of each: whoever reads its book can let nobody in. Plain SHA-256 is enough, because there is nothing to
guess in 256 random bits (a password would need a slow hash).
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from wire.runtime.errors import UserError
from wire.views import View

PREFIX: Final = "vgt_"
"""Of every token of vergence."""
_BYTES: Final = 32
LONGEST_TOKEN: Final = 256
"""Letters of one that is looked at; ours have 47."""
_SCHEME: Final = "bearer "


class Role(StrEnum):
    """What somebody may do; each one does nothing of the others'."""

    CAMERA = "camera"
    """Send symbols and references as one rig, and as one view of it if the entry names one."""
    VIEWER = "viewer"
    """Watch decoded pairs, and read what links are set to."""
    OPERATOR = "operator"
    """Channel operator: set links, and watch as a viewer does."""
    METRICS = "metrics"
    """Read metrics."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls. name: as in the book; rig, view: of a camera, view None is either one."""

    name: str
    role: Role
    rig: str | None = None
    view: View | None = None

    def may_send_as(self, rig: str, view: View) -> bool:
        """Whether this is a camera that may speak for a view of a rig."""
        return self.role is Role.CAMERA and self.rig == rig and self.view in (None, view)


class Denial(StrEnum):
    """Why somebody is not let in; a label of metrics."""

    MISSING = "missing"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    ROLE = "role"
    RIG = "rig"


class TokenRefused(UserError):
    """Nobody's token, or one that counts no more. The line never has anything of the token in it."""

    def __init__(self, reason: Denial, line: str) -> None:
        super().__init__(line)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Entry:
    """One token of a book.

    principal  whom it stands for
    digest     SHA-256 of the token, 32 bytes
    expires    Unix time from which it counts no more; None is never
    """

    principal: Principal
    digest: bytes = field(repr=False)
    expires: float | None = None


class TokenBook:
    """Every token that a service takes, by digest."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = tuple(entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"TokenBook({len(self)} tokens)"

    def authenticate(self, token: str, now: float) -> Principal:
        """Whom a token stands for.

        Its digest is compared with every entry's, each in constant time, and no entry ends the search: how long the
        answer takes says nothing about how near a guess came.

        token   as it was presented; "" is none
        now     Unix time, seconds
        raises  TokenRefused (missing, unknown, expired)
        """
        if not token:
            raise TokenRefused(Denial.MISSING, "no token came; send one as 'authorization: Bearer TOKEN'")
        presented, found = digest(token), None
        for entry in self._entries:
            if hmac.compare_digest(presented, entry.digest):
                found = entry
        if found is None:
            raise TokenRefused(Denial.UNKNOWN, "this token is not known here; use one of this service's token book")
        if found.expires is not None and now >= found.expires:
            line = f"the token of '{found.principal.name}' has expired; make a new one"
            raise TokenRefused(Denial.EXPIRED, line)
        return found.principal


def bearer(header: str) -> str:
    """The token in what an `Authorization` header says; "" if there is none."""
    return header[len(_SCHEME) :].strip()[:LONGEST_TOKEN] if header[: len(_SCHEME)].lower() == _SCHEME else ""


def new_token() -> str:
    """A token that nobody has."""
    return PREFIX + secrets.token_urlsafe(_BYTES)


def digest(token: str) -> bytes:
    """What a book keeps of a token: its SHA-256, 32 bytes."""
    return hashlib.sha256(token.encode(errors="backslashreplace")).digest()
