"""Who is logged in at the page. Pure: no clock, no HTTP."""

import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

MOST: Final = 256
"""Sessions at once; one more ends the oldest."""
MOST_OF_ONE: Final = 16
"""Sessions of one token; one more ends its oldest, so that nobody can push out the others."""
_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Session:
    """A login. The token is kept, in memory only, so that each request is held to the book as it is then.

    owner  the name in the book; until: seconds of the clock that `Sessions` is told
    """

    token: str = field(repr=False)
    owner: str
    until: float


class Sessions:
    """Sessions by the digest of their id, so that nothing in memory is an id that a browser could send.

    lifetime  seconds; nothing makes a session longer
    """

    def __init__(self, lifetime: float) -> None:
        self.lifetime = lifetime
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, token: str, owner: str, now: float) -> str:
        """A new id, 256 random bits as text. token: counts at this moment; now: seconds of a clock that only goes on"""
        self._expire(now)
        own = [key for key, session in self._sessions.items() if session.owner == owner]
        if len(own) >= MOST_OF_ONE:
            del self._sessions[own[0]]
        elif len(self._sessions) >= MOST:
            self._sessions.popitem(last=False)
        name = secrets.token_urlsafe(_BYTES)
        self._sessions[_digest(name)] = Session(token, owner, now + self.lifetime)
        return name

    def token(self, name: str, now: float) -> str | None:
        """The token that a session was opened with; None if there is no such session any more."""
        self._expire(now)
        session = self._sessions.get(_digest(name))
        return None if session is None else session.token

    def close(self, name: str) -> None:
        """End a session; harmless if it has ended."""
        self._sessions.pop(_digest(name), None)

    def _expire(self, now: float) -> None:
        while self._sessions and next(iter(self._sessions.values())).until <= now:  # all live equally long
            self._sessions.popitem(last=False)


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode(errors="backslashreplace")).digest()
