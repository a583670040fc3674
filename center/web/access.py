"""Who asks: by a token with the request, or by the session of a login."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from starlette.requests import HTTPConnection
from starlette.responses import Response

from center.web.attempts import Attempts
from center.web.sessions import Sessions
from wire.security.tokens import LONGEST_TOKEN, Denial, Principal, TokenRefused, bearer

SESSION_HOURS: Final = 12.0


class Book(Protocol):
    """`TokenBook`, or one that follows its file."""

    def authenticate(self, token: str, now: float) -> Principal:
        """raises TokenRefused"""


@dataclass(frozen=True, slots=True)
class Grant:
    """Somebody is let in. stands: who it is by the book as it is now; raises TokenRefused once that has ended."""

    principal: Principal
    stands: Callable[[], Principal]


class Access:
    """The book of tokens, the sessions made with it, and how often both may be tried.

    book        of the tokens that count
    hours       how long a login counts at most
    refused     counts refusals; whoever answers one calls it
    attempts    how often a wrong token may be tried in the form
    clock       seconds that never go back; wall: Unix time

    `port` is the page's, set when it is bound: cookies do not keep the ports of one host apart, their names must.
    """

    def __init__(
        self,
        book: Book,
        hours: float = SESSION_HOURS,
        refused: Callable[[Denial], None] = lambda _: None,
        attempts: Attempts | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.sessions = Sessions(hours * 3600.0)
        self.attempts = attempts or Attempts()
        self.refused = refused
        self._book, self.clock, self._wall = book, clock, wall
        self.port = 0

    def authenticate(self, token: str) -> Principal:
        """raises TokenRefused"""
        return self._book.authenticate(token[:LONGEST_TOKEN], self._wall())

    def who(self, connection: HTTPConnection) -> Grant:
        """raises TokenRefused if nobody in the book asks"""
        if token := bearer(connection.headers.get("authorization", "")):
            return Grant(self.authenticate(token), lambda: self.authenticate(token))
        name = self.session_of(connection)
        if not name:
            raise TokenRefused(Denial.MISSING, "this needs a token: log in, or send 'Authorization: Bearer TOKEN'")
        return Grant(self._of_session(name), lambda: self._of_session(name))

    def session_of(self, connection: HTTPConnection) -> str:
        """The id in the cookie; "" is none."""
        cookies = connection.cookies
        return cookies.get(self._cookie(secure=True)) or cookies.get(self._cookie(secure=False)) or ""

    def log_in(self, token: str, response: Response, *, secure: bool) -> None:
        """Give a browser the cookie of a new session. secure: it came by HTTPS, and sends the cookie by that only

        Without a Path the cookie counts beside the form, also where a proxy has put the page under a path.
        """
        name = self.sessions.open(token, self.authenticate(token).name, self.clock())
        response.headers.append("set-cookie", self._set_cookie(name, round(self.sessions.lifetime), secure))

    def log_out(self, connection: HTTPConnection, response: Response) -> None:
        """End the session that comes with a request, if one does, and have its cookie forgotten."""
        self.sessions.close(self.session_of(connection))
        for secure in (True, False):
            response.headers.append("set-cookie", self._set_cookie("", 0, secure))

    def _of_session(self, name: str) -> Principal:
        token = self.sessions.token(name, self.clock())
        if token is None:
            raise TokenRefused(Denial.EXPIRED, "the login has ended; log in again")
        try:
            return self._book.authenticate(token, self._wall())
        except TokenRefused:
            self.sessions.close(name)
            raise

    def _cookie(self, *, secure: bool) -> str:
        return f"{'__Secure-' if secure else ''}vergence-{self.port}"

    def _set_cookie(self, value: str, seconds: int, secure: bool) -> str:
        flags = "; Secure" if secure else ""
        return f"{self._cookie(secure=secure)}={value}; Max-Age={seconds}; HttpOnly; SameSite=Strict{flags}"
