"""What every answer and every request must obey: headers for browsers, and no other site may act or look."""

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script';"
        " trusted-types 'none'"
    ),
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), display-capture=()",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_READING: Final = {"GET", "HEAD", "OPTIONS"}
_OF_ANY_NAME: Final = {"/healthz", "/metrics"}
"""Probes and Prometheus come by whatever name the network gives us, and learn nothing that a page could use."""
_LOOPBACK: Final = {"localhost", "127.0.0.1", "::1"}
_EVERYWHERE: Final = {"", "0.0.0.0", "::"}


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
        try:
            name = (urlsplit(f"//{host}").hostname or "").removesuffix(".")
        except ValueError:
            return False
        return name in self._names or (self._any_address and _is_address(name))


class Guard:
    """ASGI middleware: adds HEADERS, and refuses other names than ours, and changes and pictures to other origins.

    A browser lets any site open a WebSocket to, or post a form at, a service on the user's own machine; the
    Origin header tells. Programs that are no browsers send none and are let in.
    """

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self.app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if scope["path"] not in _OF_ANY_NAME and not self._hosts.allow(host):
            line = f"'{host[:80]}' is not a name of this page; add it, without its port, to page.hosts of the center"
            await self._refuse(scope, receive, send, 421, "unknown Host; set page.hosts of the center", line)
            return
        guarded = scope["type"] == "websocket" or scope["method"] not in _READING
        if guarded and not same_origin(headers):
            line = "a page of another origin may change nothing here; a proxy in between must hand on the Host header"
            await self._refuse(scope, receive, send, 403, "another origin", line)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-cache" if scope["path"].startswith("/static") else "no-store")
            await send(message)

        await self.app(scope, receive, send_with_headers)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, status: int, short: str, line: str) -> None:
        """short: for a WebSocket, whose reason has room for 123 bytes"""
        if scope["type"] == "websocket":
            await WebSocketClose(code=1008, reason=short)(scope, receive, send)
            return
        await JSONResponse({"error": line}, status_code=status, headers=HEADERS)(scope, receive, send)


def same_origin(headers: Headers) -> bool:
    """Whether a request comes from our own page or from no page at all."""
    origin = headers.get("origin")
    if origin is None or headers.get("sec-fetch-site") == "same-origin":
        return True
    try:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
    except ValueError:  # such as "http://[": no browser sends it
        return False


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
