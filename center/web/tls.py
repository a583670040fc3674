"""HTTPS for the page: handshakes that are bounded.

TLS is not left to uvicorn, which counts a connection only once its handshake is done; sockets that say nothing would
each take a file for a minute. So a `TlsGate` takes the plain connection, counts it, and hands it on encrypted.
"""

import asyncio
import ssl
from contextlib import suppress
from typing import Any, ClassVar

from center.web.connections import BoundedHttp, Limits
from wire.security.https import HttpsCertificate


class TlsGate(asyncio.Protocol):
    """A connection that has to become encrypted. Built by uvicorn as its HTTP protocol, with the same arguments."""

    certificate: ClassVar[HttpsCertificate]
    inner: ClassVar[type[BoundedHttp]]
    limits: ClassVar[Limits]
    waiting: ClassVar[set["TlsGate"]]
    """Those whose handshake is not done."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        self._http = self.inner(*arguments, **more)
        self._handshake: asyncio.Task[None] | None = None
        self._early = bytearray()
        self.client: tuple[str, int] | None = None

    def data_received(self, data: bytes) -> None:
        """A request that came with the end of the handshake, before the connection is handed on."""
        self._early += data

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.client = (transport.get_extra_info("peername") or ("", 0))[:2]  # none of one that left at once
        here = [getattr(each, "client", None) for each in (*self.waiting, *self._http.connections)]
        of_client = [client[0] for client in here if client].count(self.client[0])
        if len(here) >= self.limits.most or of_client >= self.limits.most_per_client:
            self._http.tell(len(here), of_client, str(self.client[0]))
            transport.abort()  # what would tell a browser why is encrypted
            return
        self.waiting.add(self)
        self._handshake = asyncio.create_task(self._shake_hands(transport), name="page handshake")

    async def _shake_hands(self, transport: asyncio.Transport) -> None:
        encrypted = None
        try:
            with suppress(OSError, TimeoutError, ssl.SSLError):  # junk, a browser that left: no news
                encrypted = await asyncio.get_running_loop().start_tls(
                    transport,
                    self,
                    self.certificate.context(),
                    server_side=True,
                    ssl_handshake_timeout=self.limits.header_seconds,
                    ssl_shutdown_timeout=1.0,
                )
        finally:
            self.waiting.discard(self)
        if encrypted is None:
            transport.abort()
            return
        encrypted.set_protocol(self._http)
        self._http.connection_made(encrypted)
        if self._early:
            self._http.data_received(bytes(self._early))


def gate(certificate: HttpsCertificate, inner: type[BoundedHttp]) -> type[TlsGate]:
    """What uvicorn is to serve each connection with. inner: what speaks HTTP once it is encrypted"""
    return type(
        "Gate", (TlsGate,), {"certificate": certificate, "inner": inner, "limits": inner.limits, "waiting": set()}
    )
