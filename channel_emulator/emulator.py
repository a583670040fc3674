"""The emulator put together: links, metrics, server; started, kept up to date, drained."""

import asyncio
import contextlib
import logging
import time
from typing import Final

from channel_emulator.config import EmulatorConfig
from channel_emulator.links.control_servicer import ControlServicer
from channel_emulator.links.link import Link
from channel_emulator.links.registry import Links
from channel_emulator.metrics import Metrics
from channel_emulator.relay.link_servicer import TransmitServicer
from wire.runtime import addresses, grpc_kit
from wire.runtime.errors import UserError
from wire.runtime.metrics import expose, follow_expiry
from wire.runtime.periodic import repeat
from wire.security.keyring import Keyring
from wire.v1.channel_control_service_pb2_grpc import add_ChannelControlServiceServicer_to_server
from wire.v1.symbol_link_service_pb2_grpc import add_SymbolLinkServiceServicer_to_server

SERVICES: Final = ("vergence.v1.SymbolLinkService", "vergence.v1.ChannelControlService")
TICK_SECONDS: Final = 0.1
GRACE_SECONDS: Final = 0.2

_log = logging.getLogger("channel_emulator")


class Emulator:
    """All links between the edges and one center."""

    def __init__(self, config: EmulatorConfig) -> None:
        """Call it inside the event loop that will run it. raises UserError if a file of `security` is wrong"""
        self.config = config
        self.metrics, self.keys = Metrics(), Keyring(config.security)
        self.links = Links(config, time.monotonic())
        upstream = grpc_kit.Connection(config.upstream, self.keys)
        self._transmit = TransmitServicer(self.links, upstream, self.metrics, largest=config.largest_size)
        self._control = ControlServicer(self.links)
        self._server = grpc_kit.Server(config.listen, self.keys, self.metrics.call_refused, config.largest_size)
        self._ticking: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """Listen and be healthy: the center may come later.

        returns  the bound port
        raises   UserError if the address is taken, or is also that of the center
        """
        add_SymbolLinkServiceServicer_to_server(self._transmit, self._server.grpc)
        add_ChannelControlServiceServicer_to_server(self._control, self._server.grpc)
        port = await self._server.start(SERVICES)
        if await asyncio.to_thread(addresses.meets, self.config.upstream, self.config.listen, port):
            await self._server.stop(0)
            line = f"upstream {self.config.upstream} is this channel emulator itself; set it to the center's address"
            raise UserError(line)
        for link in self.links:
            self.metrics.link(link, time.monotonic())
        self.links.subscribe(self._tell)
        self.links.on_forget.append(self.metrics.forget)
        self._ticking = asyncio.create_task(
            repeat(self._tick, TICK_SECONDS, "following the links' SNRs", self.metrics.background_failures.inc)
        )
        await self._server.ready()
        return port

    async def stop(self) -> None:
        """Drain: unhealthy first, then every edge is asked to leave, then the server stops."""
        await self._server.leave()
        await self._transmit.drain(self.config.drain_seconds - GRACE_SECONDS)
        self._control.close()
        if self._ticking is not None:
            self._ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticking
        await self._server.stop(GRACE_SECONDS)
        await self._transmit.close()

    def _tell(self, link: Link) -> None:
        now = time.monotonic()
        self.metrics.link(link, now)
        self._transmit.report(now)

    def _tick(self) -> None:
        """Follow the SNRs that move by themselves."""
        now = time.monotonic()
        self.links.sweep(now)
        for link in self.links:
            if link.settings.snr.moves:
                self.metrics.link(link, now)
        self._transmit.report(now)


async def run(config: EmulatorConfig, stop: asyncio.Event) -> None:
    """Work until `stop` is set, then drain."""
    emulator = Emulator(config)
    if config.metrics.port:
        served = expose(config.metrics, config.metrics.port, emulator.metrics.registry, emulator.metrics.call_refused)
        follow_expiry(emulator.metrics.expiry, emulator.keys.expires_at, served.expires_at)
    port = await emulator.start()
    _log.info("listening on port %d, center at %s, %s", port, config.upstream, _names(emulator.links))
    await stop.wait()
    _log.info("draining")
    await emulator.stop()


def _names(links: Links) -> str:
    return "links " + (", ".join(str(link) for link in links) or "as cameras come")
