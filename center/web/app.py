"""The page of the center: two live pictures, the links' controls, and what other programs ask of a service.

    GET   /                            the page            GET  /static/...  its style and scripts
    GET   /metrics                     for Prometheus      GET  /healthz     200 when ready, else 503
    GET   /api/status                  the center, its codec and its rigs
    GET   /api/links                   every link of the channel emulator
    PATCH /api/links/{rig}/{view}      change settings of one link
    POST  /api/links/{rig}/{view}/reset
    WS    /ws?rig=                     decoded pairs, newest only (format: stream.py)
    GET   /login                       a form for a token   POST  /login, /logout  begin and end a session

Who may do what where there are tokens: roles.py. Errors under /api are `{"error": "one clear line"}`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import uvicorn
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from center.output.broadcast import PairBroadcaster
from center.output.jpeg import JpegCache
from center.output.room import Room
from center.web import connections
from center.web.access import Access, Grant
from center.web.connections import Limits
from center.web.guard import Guard, Hosts
from center.web.links import LinkControl, LinkRefused
from center.web.lock import GRANT, Lock
from center.web.login import Login
from center.web.roles import roles_of
from center.web.stream import serve_watcher
from center.web.tls import gate
from center.web.to_json import to_json
from wire.geometry import DEFAULT_SIZE
from wire.quality import MS_SSIM_DEFINITION
from wire.runtime.errors import UserError
from wire.security.https import HttpsCertificate
from wire.security.keyring import NO_KEYS, Keyring
from wire.security.tokens import Denial, TokenRefused
from wire.units import TRAINED_SNR_DB
from wire.views import View

PAGE: Final = Path(__file__).resolve().parent / "page"
_BODY_LIMIT: Final = 8192
_HEADERS_LIMIT: Final = 16_384


class Page:
    """Serves the page inside the running event loop.

    host, port        where to listen; port 0 takes a free one
    broadcaster       decoded pairs
    registry          what `/metrics` shows
    emulator_address  `host:port` of the channel emulator's control service; "" if there is none
    status            what the center says of itself, as plain values; the page reads `ready` (bool), `why` (one line
                      while not ready), `codec`, `codec_hash` and `engine`, and hands on whatever else is in it
    hosts             further names by which the page may be asked for
    keys              with which the emulator is called; its book of tokens says who is let in, none lets everybody in
    limits            of connections and time; fewer connections where this process may open few files
    refused           counts whom the page refuses
    certificate       for HTTPS; None is plain HTTP
    """

    def __init__(
        self,
        host: str,
        port: int,
        broadcaster: PairBroadcaster,
        registry: CollectorRegistry,
        emulator_address: str,
        status: Callable[[], Mapping[str, Any]],
        hosts: Sequence[str] = (),
        limits: Limits | None = None,
        keys: Keyring = NO_KEYS,
        refused: Callable[[Denial], None] = lambda _: None,
        certificate: HttpsCertificate | None = None,
    ) -> None:
        self.host, self.port = host, port
        self.certificate = certificate
        self._limits = (limits or Limits()).within_files()
        self._broadcaster, self._registry, self._status = broadcaster, registry, status
        self._links = LinkControl(emulator_address, keys)
        self._cache, self._room = JpegCache(), Room()
        self._watchers = 0
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._access = None if keys.book is None else Access(keys.book, refused=refused)
        self.routes = Starlette(
            routes=[
                Route("/", self._index),
                Route("/metrics", self._metrics),
                Route("/healthz", self._health),
                Route("/api/status", self._read_status),
                Route("/api/links", self._list_links),
                Route("/api/links/{rig:path}/{view}/reset", self._reset_link, methods=["POST"]),
                Route("/api/links/{rig:path}/{view}", self._change_link, methods=["PATCH"]),
                WebSocketRoute("/ws", self._watch),
                Mount("/static", StaticFiles(directory=PAGE)),
                *Login(self._access).routes(),
            ],
            exception_handlers={LinkRefused: _refused, HTTPException: _http_error},
        )
        self.app = Guard(Lock(self.routes, self._access), Hosts(host, hosts))

    async def start(self) -> None:
        """Listen; from then on `self.port` is the bound port.

        raises  UserError if the port is taken or the host makes no sense
        """
        bound = connections.listen(self.host, self.port, self._limits)
        self.port = int(bound[0].getsockname()[1])
        if self._access is not None:
            self._access.port = self.port
        http: type[asyncio.Protocol] = connections.protocol(self._limits)
        if self.certificate is not None:
            http = gate(self.certificate, connections.protocol(self._limits))
        config = uvicorn.Config(
            self.app,
            http=http,
            ws=connections.BoundedSocket,
            backlog=connections.BACKLOG,
            h11_max_incomplete_event_size=_HEADERS_LIMIT,
            timeout_keep_alive=5,
            ws_ping_interval=10.0,  # a browser that is gone without a goodbye is missed after both
            ws_ping_timeout=10.0,
            lifespan="off",
            log_config=None,
            log_level="error",  # not a line for each junk request
            access_log=False,
            server_header=False,
            proxy_headers=False,  # whoever is behind a proxy, or on this host, would say himself where he comes from
            ws_max_size=1024,
            ws_per_message_deflate=False,  # JPEGs do not shrink
            timeout_graceful_shutdown=1,
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=bound), name="page")
        while not self._server.started:
            if self._serving.done():
                await self._serving
                raise UserError(f"the page on {self.host}:{self.port} did not start; see the log above")
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Close what is open and leave; harmless when nothing was started."""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving
        self._server = self._serving = None
        await self._links.close()

    async def _index(self, request: Request) -> Response:
        return FileResponse(PAGE / "index.html")

    async def _metrics(self, request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(await asyncio.to_thread(encode, self._registry), headers={"Content-Type": content_type})

    async def _health(self, request: Request) -> Response:
        status = self._status()
        ready = bool(status.get("ready"))
        return JSONResponse({"ready": ready, "why": to_json(status.get("why"))}, status_code=200 if ready else 503)

    async def _read_status(self, request: Request) -> Response:
        own = {
            "rigs": self._broadcaster.rigs(),
            "emulator": self._links.address or None,
            "watchers": self._watchers,
            "symbols": DEFAULT_SIZE.symbols,  # of rigs that say no other size
            "picture": [DEFAULT_SIZE.rows, DEFAULT_SIZE.columns],
            "trained_snr_db": TRAINED_SNR_DB,
            "ms_ssim": MS_SSIM_DEFINITION,
            "who": _who(request),
        }
        return JSONResponse(to_json({**self._status(), **own}))

    async def _list_links(self, request: Request) -> Response:
        return JSONResponse({"links": await self._links.list()})

    async def _change_link(self, request: Request) -> Response:
        rig, view = _which(request)
        return JSONResponse({"link": await self._links.change(rig, view, await _body(request))})

    async def _reset_link(self, request: Request) -> Response:
        return JSONResponse({"link": await self._links.reset(*_which(request))})

    async def _watch(self, websocket: WebSocket) -> None:
        self._watchers += 1
        try:
            may_watch = self._may_watch(websocket)
            await serve_watcher(websocket, self._broadcaster, self._cache, may_watch=may_watch, room=self._room)
        finally:
            self._watchers -= 1
            if not self._watchers:
                self._cache.clear()

    def _may_watch(self, websocket: WebSocket) -> Callable[[], bool]:
        """Whether whoever opened a socket still may, by the book as it is at each call."""
        access, grant = self._access, _grant(websocket)
        if access is None or grant is None:
            return lambda: True

        def ask() -> bool:
            try:
                allowed = grant.stands().role in (roles_of("WS", "/ws") or ())
                reason = Denial.ROLE
            except TokenRefused as refusal:
                allowed, reason = False, refusal.reason
            if not allowed:
                access.refused(reason)
            return allowed

        return ask


class _Server(uvicorn.Server):
    """uvicorn that leaves signals to the service around it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _grant(connection: HTTPConnection) -> Grant | None:
    """What the lock has let it in by; None where there are no tokens."""
    grant: Grant | None = connection.scope.get("state", {}).get(GRANT)
    return grant


def _who(request: Request) -> dict[str, Any] | None:
    """Who asks, and whether links may be set; None where everybody may."""
    grant = _grant(request)
    if grant is None:
        return None
    who = grant.principal
    may_set = who.role in (roles_of("PATCH", "/api/links/{rig:path}/{view}") or ())
    return {"name": who.name, "role": who.role.value, "may_set_links": may_set}


def _which(request: Request) -> tuple[str, View]:
    name = request.path_params["view"]
    if name not in list(View):
        raise LinkRefused(404, f"view '{name[:40]}' does not exist; use left or right")
    return request.path_params["rig"], View(name)


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_LIMIT:
            raise LinkRefused(413, f"the request is larger than {_BODY_LIMIT} bytes; send only the settings to change")
    return bytes(body)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, LinkRefused)
    return JSONResponse({"error": str(error)}, status_code=error.status)


def _http_error(request: Request, error: Exception) -> Response | Awaitable[Response]:
    assert isinstance(error, HTTPException)
    line = f"{request.method} {request.url.path}: {error.detail.lower()}"
    return JSONResponse({"error": line}, status_code=error.status_code, headers=error.headers)
