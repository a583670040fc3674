"""Login by token: the form, what it sends, and the way out."""

import logging
import time
from html import escape
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from center.web.access import Access
from center.web.guard import FORM_POLICY
from center.web.roles import EVERYBODY, roles_of
from wire.runtime.errors import one_line
from wire.security.tokens import Denial, TokenRefused

_log = logging.getLogger(__name__)

_TEXT: Final = Path(__file__).with_name("login.html").read_text(encoding="utf-8")
_FORM: Final = "application/x-www-form-urlencoded"
_LONGEST: Final = 2048
"""Bytes of the form."""
_TOLD_EVERY: Final = 10.0


def form(line: str, status: int = 200, headers: dict[str, str] | None = None) -> HTMLResponse:
    """A page that is a form and no script. line: what is told in it, any text; "" is nothing"""
    text = _TEXT.replace("{line}", escape(line)).replace("{hidden}", "" if line else " hidden")
    return HTMLResponse(text, status, {"Content-Security-Policy": FORM_POLICY, **(headers or {})})


class Login:
    """The routes of a login. access: None is that nobody needs one."""

    def __init__(self, access: Access | None) -> None:
        self._access = access
        self._told_at, self._untold = -_TOLD_EVERY, 0

    def routes(self) -> list[Route]:
        """Of the form and the way out."""
        return [
            Route("/login", self._form),
            Route("/login", self._submit, methods=["POST"]),
            Route("/logout", self._leave, methods=["POST"]),
        ]

    async def _form(self, request: Request) -> Response:
        if self._access is None:
            return _to_page()
        try:
            who = self._access.who(request).principal
        except TokenRefused:
            return form("")
        return _to_page() if _may_see(who.role) else form("")

    async def _submit(self, request: Request) -> Response:
        access = self._access
        if access is None:
            return _to_page()
        client = request.client.host if request.client else ""
        try:
            token = await _token(request)
            who = access.authenticate(token)
        except TokenRefused as refusal:
            # Only wrong ones are held up: nobody can lock out who comes from the same address, a proxy's say.
            if (wait := access.attempts.wait(client, access.clock())) > 0.0:
                line = f"too many wrong tokens; try again in {wait:.0f} s"
                return form(line, 429, {"Retry-After": f"{wait + 0.5:.0f}"})
            access.refused(refusal.reason)
            access.attempts.failed(client, access.clock())
            self._tell(client, refusal.reason)
            return form(str(refusal), 401)
        if not _may_see(who.role):
            access.refused(Denial.ROLE)
            line = f"the token of '{who.name}' has role {who.role.value}; the page is for viewer or operator"
            return form(line, 403)
        answer = _to_page()
        access.log_in(token, answer, secure=_by_https(request))
        _log.info("%s has logged in from %s as %s", who.name, client, who.role.value)
        return answer

    async def _leave(self, request: Request) -> Response:
        answer = JSONResponse({"left": True})
        if self._access is not None:
            self._access.log_out(request, answer)
        return answer

    def _tell(self, client: str, reason: Denial) -> None:
        """One line in a while, however many come; never a token."""
        now = time.monotonic()
        if now - self._told_at < _TOLD_EVERY:
            self._untold += 1
            return
        more = f", and {self._untold} more before" if self._untold else ""
        self._told_at, self._untold = now, 0
        _log.warning("a login from %s is refused: its token is %s%s", one_line(client, 60), reason.value, more)


async def _token(request: Request) -> str:
    """What the form sends. raises TokenRefused if that is no such form"""
    body = bytearray()
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _LONGEST:
                break
    try:
        [token] = parse_qs(body.decode("ascii"), strict_parsing=True, max_num_fields=4)["token"]
    except (KeyError, ValueError):
        raise TokenRefused(Denial.MISSING, "no token came; write one into the field") from None
    return token.strip()


def _by_https(request: Request) -> bool:
    """Also behind a proxy that ends TLS: the browser says by which scheme it sees us."""
    return request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")


def _may_see(role: object) -> bool:
    roles = roles_of("GET", "/")
    return roles is EVERYBODY or role in roles


def _to_page() -> Response:
    return RedirectResponse("./", status_code=303)
