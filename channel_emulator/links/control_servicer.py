"""ChannelControlService: links as plain resources that are listed, read, changed, reset and watched."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
from grpc import aio

from channel_emulator.channel.settings import Settings
from channel_emulator.channel.snr import Fixed
from channel_emulator.links.link import Link
from channel_emulator.links.registry import Links
from wire.contract import link_settings
from wire.contract.names import check_rig
from wire.runtime import grpc_kit
from wire.runtime.errors import UserError
from wire.v1 import channel_control_service_pb2 as pb
from wire.v1.channel_control_service_pb2_grpc import ChannelControlServiceServicer
from wire.views import View

Context = aio.ServicerContext[Any, Any]

DEFAULT_RATE: Final = 2.0
HIGHEST_RATE: Final = 50.0


def to_proto(link: Link, now: float) -> pb.Link:
    """A link as others see it. Under a schedule or a walk `settings.snr_db` is not set: `current_snr_db` tells."""
    return pb.Link(
        rig=link.rig,
        view=link.view.to_proto(),
        settings=settings_to_proto(link.settings),
        current_snr_db=link.snr_db(now),
        version=link.version,
        connected=link.connected,
        frames=link.frames,
        lost=link.lost,
        measured_snr_db=link.measured_snr_db,
    )


def settings_to_proto(settings: Settings) -> pb.LinkSettings:
    """What can be changed while the emulator runs; snr_db only where it is a number that stays."""
    given = {name: getattr(settings, name) for name in link_settings.LIVE if name != "snr_db"}
    if isinstance(settings.snr, Fixed):
        given["snr_db"] = settings.snr.snr_db
    return link_settings.to_proto(given)


class ControlServicer(ChannelControlServiceServicer):
    """Thin: finds the link, changes it, tells the subscribers."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._watchers: set[asyncio.Event] = set()
        self._closed = False
        links.subscribe(lambda _: self._wake())

    async def ListLinks(self, request: pb.ListLinksRequest, context: Context) -> pb.ListLinksResponse:  # noqa: N802
        now = time.monotonic()
        return pb.ListLinksResponse(links=[to_proto(link, now) for link in self._links])

    async def GetLink(self, request: pb.GetLinkRequest, context: Context) -> pb.GetLinkResponse:  # noqa: N802
        link = await self._find(request.rig, request.view, context)
        return pb.GetLinkResponse(link=to_proto(link, time.monotonic()))

    async def UpdateLink(self, request: pb.UpdateLinkRequest, context: Context) -> pb.UpdateLinkResponse:  # noqa: N802
        link = await self._find(request.rig, request.view, context)
        try:
            link.update(link_settings.from_proto(request.settings))
        except UserError as problem:
            await grpc_kit.abort(context, grpc.StatusCode.INVALID_ARGUMENT, problem)
        self._links.changed(link)
        return pb.UpdateLinkResponse(link=to_proto(link, time.monotonic()))

    async def ResetLink(self, request: pb.ResetLinkRequest, context: Context) -> pb.ResetLinkResponse:  # noqa: N802
        link = await self._find(request.rig, request.view, context)
        link.reset(time.monotonic())
        self._links.changed(link)
        return pb.ResetLinkResponse(link=to_proto(link, time.monotonic()))

    async def WatchLinks(  # noqa: N802
        self, request: pb.WatchLinksRequest, context: Context
    ) -> AsyncIterator[pb.WatchLinksResponse]:
        """Changes of settings and connections at once; moving values at the rate that was asked for."""
        if not 0.0 <= request.rate <= HIGHEST_RATE:
            line = f"rate must lie between 0 and {HIGHEST_RATE:g} a second (got {request.rate:g})"
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, line)
        period = 1.0 / (request.rate or DEFAULT_RATE)
        wake = asyncio.Event()
        self._watchers.add(wake)
        try:
            sent: dict[Link, tuple[tuple[int, bool], bytes]] = {}
            due = 0.0
            while not self._closed:
                wake.clear()
                now = time.monotonic()
                moving = now >= due
                due = now + period if moving else due
                sent = {link: state for link, state in sent.items() if link in self._links}
                for link in self._links:
                    message = to_proto(link, now)
                    settled = (link.version, link.connected)
                    state = (settled, message.SerializeToString(deterministic=True))
                    known = sent.get(link)
                    if known is None or known[0] != settled or (moving and known != state):
                        sent[link] = state
                        yield pb.WatchLinksResponse(link=message)
                await _wait(wake, due - time.monotonic())
        finally:
            self._watchers.discard(wake)

    def close(self) -> None:
        """End every watch."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        for watcher in self._watchers:
            watcher.set()

    async def _find(self, rig: str, number: int, context: Context) -> Link:
        try:
            check_rig(rig)
            view = View.from_proto(number)
        except UserError as problem:
            await grpc_kit.abort(context, grpc.StatusCode.INVALID_ARGUMENT, problem)
        link = self._links.find(rig, view)
        if link is None:
            known = ", ".join(str(each) for each in self._links) or "none yet"
            line = f"there is no link {rig}/{view}; known: {known}"
            await context.abort(grpc.StatusCode.NOT_FOUND, line)
        return link


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await event.wait()
    except TimeoutError:
        pass
