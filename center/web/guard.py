"""What every answer and every request must obey: headers for browsers, and no other site may act or look."""

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script';"
        " trusted-types 'none'"
    ),
    "Permissions-Policy": (
        "camera=(), microphone=(), geolocation=(), display-capture=(), payment=(), usb=(), serial=()"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: with that a browser calls the origin of a form "null", and a login could not tell ours apart.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}
"""Of every answer, also of those that are written before or without an application."""
FORM_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""In place of the policy above, of a page that is a form and no script."""
STRICT_TRANSPORT: Final = "max-age=31536000"
"""For a year a browser comes by HTTPS only, to every port of this name: so it is not said to loopback names, where
other programs serve plain HTTP."""
ASKED_BY_SCRIPT: Final = "X-Requested-With"
"""Of every change, with any value. Other sites can send it only after a question (CORS) that nobody answers here."""

_READING: Final = {"GET", "HEAD", "OPTIONS"}
_BY_FORM: Final = {"/login"}
"""Changes that a form makes, which can send no header: there our own Origin does as well."""
_OF_ANY_NAME: Final = {"/healthz", "/metrics"}
"""Probes and Prometheus come by whatever name the network gives us, and learn nothing that a page could use."""
_LOOPBACK: Final = {"localhost", "127.0.0.1", "::1"}
_EVERYWHERE: Final = {"", "0.0.0.0", "::"}
_SECURE: Final = {"https", "wss"}


class Hosts:
    """The names by which the page may be asked for: loopback, where it listens, and those that are listed.

    A site can let its own name lead to our address ("DNS rebinding"); to a browser its pages then are of one origin
    with ours. The name in the Host header gives it away. An IP address cannot be led elsewhere: a page that listens on
    every network takes any.
    """

    def __init__(self, listening: str, listed: Iterable[str]) -> None:
        self._names = _LOOPBACK | {name.lower() for name in (listening, *listed)} - _EVERYWHERE
        self._any_address = listening in _EVERYWHERE

    def allow(self, host: str) -> bool:
        """host: the header, a name or an address, with or without a port"""
        name = _name(host)
        return name in self._names or (self._any_address and _is_address(name))


class Guard:
    """ASGI middleware: adds HEADERS, and refuses other names than ours, and changes and pictures to other origins.

    A browser lets any site open a WebSocket to, or post a form at, a service on the user's own machine; the
    Origin header tells. Programs that are no browsers send none and are let in.
    """

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self.app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        dressed = _Dressed(scope, send)
        refusal = self._refusal(scope, Headers(scope=scope))
        await (self.app if refusal is None else refusal)(scope, receive, dressed)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        host, path = headers.get("host", ""), scope["path"]
        if path not in _OF_ANY_NAME and not self._hosts.allow(host):
            line = f"'{host[:80]}' is not a name of this page; add it, without its port, to page.hosts of the center"
            return JSONResponse({"error": line}, status_code=421)
        is_change = scope["type"] == "http" and scope["method"] not in _READING
        if (is_change or scope["type"] == "websocket") and not same_origin(headers, scope["scheme"]):
            line = "a page of another origin may change nothing here; a proxy in between must hand on the Host header"
            return JSONResponse({"error": line}, status_code=403)
        if is_change and not _is_meant(headers, path):
            line = f"a change needs the header {ASKED_BY_SCRIPT}, with any value: curl -H '{ASKED_BY_SCRIPT}: curl'"
            return JSONResponse({"error": line}, status_code=403)
        return None


class _Dressed:
    """`send` with HEADERS on whatever is answered; also where a WebSocket is refused."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope, self._send = scope, send
        self._is_open = scope["type"] == "http"

    async def __call__(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start"):
            self._is_open = True
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            is_static = self._scope["path"].startswith("/static/")
            headers.setdefault("Cache-Control", "no-cache" if is_static else "no-store")
            if self._scope["scheme"] in _SECURE and _name(Headers(scope=self._scope).get("host", "")) not in _LOOPBACK:
                headers["Strict-Transport-Security"] = STRICT_TRANSPORT
        elif kind == "websocket.accept":
            self._is_open = True
        elif kind == "websocket.close" and not self._is_open:  # uvicorn would answer 403 without a header
            refusal = {"type": "websocket.http.response.start", "status": 404, "headers": []}
            await self(refusal)
            message = {"type": "websocket.http.response.body", "body": b""}
        await self._send(message)


def same_origin(headers: Headers, scheme: str) -> bool:
    """Whether a request comes from our own page or from no page at all.

    scheme  of the connection to us. A page of plain HTTP is not of one origin with ours of HTTPS; behind a proxy that
            ends TLS the browser's scheme is not known here
    """
    site = headers.get("sec-fetch-site")
    if site in ("cross-site", "same-site"):
        return False
    if "origin" not in headers or site == "same-origin":
        return True
    return _is_ours(headers, scheme)


def _is_meant(headers: Headers, path: str) -> bool:
    """Whether a change carries what no other site can make a browser send."""
    if path in _BY_FORM and "origin" in headers:  # and it is ours, as same_origin has found
        return True
    return bool(headers.get(ASKED_BY_SCRIPT)) or headers.get("authorization", "").lower().startswith("bearer ")


def _is_ours(headers: Headers, scheme: str) -> bool:
    try:
        origin = urlsplit(headers["origin"])
    except ValueError:  # such as "http://[": no browser sends it
        return False
    if scheme in _SECURE and origin.scheme != "https":
        return False
    return bool(origin.netloc) and origin.netloc.lower() == headers.get("host", "").lower()


def _name(host: str) -> str:
    """A Host header without its port; "" for what is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
