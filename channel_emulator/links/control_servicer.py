"""ChannelControlService: links as plain resources that are listed, read, changed, reset and watched."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
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
from wire.security.caller import Share
from wire.v1 import channel_control_service_pb2 as pb
from wire.v1.channel_control_service_pb2_grpc import ChannelControlServiceServicer
from wire.views import View

Context = aio.ServicerContext[Any, Any]

DEFAULT_RATE: Final = 2.0
HIGHEST_RATE: Final = 50.0
MOST_WATCHERS: Final = 64
"""WatchLinks calls at once, of all clients together."""
_NAMED: Final = 8
"""Links that an answer names at most: status lines travel in headers."""


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """A link at one moment. settled: what is told at once when it changes; data: the message's bytes."""

    link: Link
    settled: tuple[int, bool]
    message: pb.Link
    data: bytes


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
        self._share = Share(MOST_WATCHERS // 2)
        self._closed = False
        self._seen: list[_State] = []
        self._seen_at = -math.inf
        links.subscribe(lambda _: self._change())

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
        if len(self._watchers) >= MOST_WATCHERS:
            line = f"{len(self._watchers)} clients watch links already; end one of them"
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, line)
        try:
            give_back = self._share.take()
        except UserError as problem:
            await grpc_kit.abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, problem)
        period = 1.0 / (request.rate or DEFAULT_RATE)
        wake = asyncio.Event()
        self._watchers.add(wake)
        try:
            sent: dict[Link, _State] = {}
            due = 0.0
            while not self._closed:
                wake.clear()
                now = time.monotonic()
                moving = now >= due
                due = now + period if moving else due
                seen = self._look(now)
                sent = {state.link: sent[state.link] for state in seen if state.link in sent}
                for state in seen:
                    known = sent.get(state.link)
                    if known is None or known.settled != state.settled or (moving and known.data != state.data):
                        sent[state.link] = state
                        yield pb.WatchLinksResponse(link=state.message)
                await _wait(wake, due - time.monotonic())
        finally:
            self._watchers.discard(wake)
            give_back()

    def close(self) -> None:
        """End every watch."""
        self._closed = True
        self._wake()

    def _look(self, now: float) -> list[_State]:
        """Every link, as all watchers see it: looked at once for all of them, not more often than one may ask."""
        if now - self._seen_at >= 1.0 / HIGHEST_RATE:
            self._seen, self._seen_at = [_state(link, now) for link in self._links], now
        return self._seen

    def _change(self) -> None:
        """A link has changed: it is looked at anew, and told at once."""
        self._seen_at = -math.inf
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
            names = [str(each) for each in self._links]
            more = [f"and {len(names) - _NAMED} more"] if len(names) > _NAMED else []
            known = ", ".join([*names[:_NAMED], *more]) or "none yet"
            line = f"there is no link {rig}/{view}; known: {known}"
            await context.abort(grpc.StatusCode.NOT_FOUND, line)
        return link


def _state(link: Link, now: float) -> _State:
    message = to_proto(link, now)
    return _State(link, (link.version, link.connected), message, message.SerializeToString(deterministic=True))


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await event.wait()
    except TimeoutError:
        pass
