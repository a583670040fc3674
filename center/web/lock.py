"""Lets in whoever `roles.py` says, if there are tokens at all; a route that nobody has thought of is nobody's."""

from typing import Final

from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Match, Mount, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from center.web.access import Access, Grant
from center.web.login import form
from center.web.roles import EVERYBODY, roles_of
from wire.security.tokens import Denial, Role, TokenRefused

GRANT: Final = "grant"
"""Where in a request's state the `Grant` of whoever asks stands."""


class Lock:
    """ASGI middleware around the application. access: None lets everybody do everything."""

    def __init__(self, app: Starlette, access: Access | None) -> None:
        self.app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = None if self._access is None else self._refusal(self._access, scope)
        await (self.app if refusal is None else refusal)(scope, receive, send)

    def _refusal(self, access: Access, scope: Scope) -> Response | None:
        method = "WS" if scope["type"] == "websocket" else scope["method"]
        path = _route(self.app, scope)
        if path is None:
            return None  # there is no such route: the application says so
        roles = roles_of(method, path)
        if roles is EVERYBODY:
            return None
        is_page = path == "/"
        try:
            grant = access.who(HTTPConnection(scope))
        except TokenRefused as refusal:
            if is_page and refusal.reason is Denial.MISSING:
                return RedirectResponse("login", status_code=303)
            access.refused(refusal.reason)
            return unknown(refusal, is_page=is_page)
        if grant.principal.role in roles:
            scope.setdefault("state", {})[GRANT] = grant
            return None
        access.refused(Denial.ROLE)
        return _wrong_role(grant, roles, is_page=is_page)


def unknown(refusal: TokenRefused, *, is_page: bool) -> Response:
    """401 in one line, or as the form that a person can mend it with."""
    if is_page:
        return form(str(refusal), status=401)
    headers = {"WWW-Authenticate": 'Bearer realm="vergence"'}
    return JSONResponse({"error": str(refusal)}, status_code=401, headers=headers)


def _wrong_role(grant: Grant, roles: frozenset[Role], *, is_page: bool) -> Response:
    who = grant.principal
    allowed = " or ".join(sorted(role.value for role in roles)) or "nobody"
    line = f"the token of '{who.name}' has role {who.role.value}; this is for {allowed}"
    return form(line, status=403) if is_page else JSONResponse({"error": line}, status_code=403)


def _route(app: Starlette, scope: Scope) -> str | None:
    """As it is declared, such as "/api/links/{rig:path}/{view}"; None if none is meant, by this method."""
    for route in app.routes:
        if route.matches(scope)[0] is Match.FULL:
            assert isinstance(route, Route | WebSocketRoute | Mount)
            return route.path
    return None
