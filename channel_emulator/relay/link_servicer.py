"""SymbolLinkService: who may open a stream, one stream per view, and how streams end."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Final

import grpc
from grpc import aio

from channel_emulator.links.link import Link
from channel_emulator.links.registry import Links
from channel_emulator.metrics import Metrics
from channel_emulator.relay.bridge import Bridge, Edge, read_message
from wire.contract.handshake import HelloReader, Refusal, StreamEnd, StreamRefused, check_size
from wire.contract.occupancy import SILENCE_SECONDS, Holder, take_over
from wire.geometry import LARGEST_SIZE, PictureSize
from wire.runtime import grpc_kit
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.v1.symbol_link_service_pb2_grpc import SymbolLinkServiceServicer, SymbolLinkServiceStub
from wire.views import View

FORWARDED_METADATA: Final = frozenset({"authorization", "x-rig-id"})
"""Headers of the edge that the center gets to see."""

RECONNECT_AFTER_MS: Final = 500
PATIENCE_SECONDS: Final = 0.5
"""How long a newcomer waits for the former stream of its view to end: a camera that restarts may be faster than the
news of its death."""

DEAD_SECONDS: Final = 2.0
"""A center that has said nothing for so long when an edge gives up may be gone without a word; an edge waits 3 s."""

_log = logging.getLogger("channel_emulator")


class _Stream:
    """A stream from its Hello on. It holds its view already; the link is listed once the center has taken it."""

    def __init__(self, link: Link, hello: link_pb2.Hello, bridge: Bridge, channel: aio.Channel) -> None:
        """channel: of the bridge's call, which lives as long as somebody holds it."""
        self.link, self.bridge, self._channel = link, bridge, channel
        self._boot_id, self._frame_rate = hello.boot_id, hello.frame_rate
        self._replaced = ""
        self.work = asyncio.create_task(bridge.run(link_pb2.TransmitRequest(hello=hello)))
        self.center = 0
        """Which start of which center has taken it; 0 while none has, and where that does not tell."""
        self.closed = asyncio.Event()
        """Set when nothing of it is left."""

    def holder(self) -> Holder:
        return Holder(self._boot_id, self._frame_rate, self.bridge.heard_at)

    def replace(self, line: str) -> None:
        """Break it off; its sender is told `line`."""
        self._replaced = line
        self.work.cancel()

    def end(self) -> StreamEnd:
        """How it ends, once its work is done."""
        if self.work.cancelled():
            return StreamEnd(grpc.StatusCode.ABORTED, self._replaced or "the stream was broken off; connect again")
        error = self.work.exception()
        if error is not None:
            _log.error("a stream broke", exc_info=error)
            return StreamEnd(grpc.StatusCode.INTERNAL, "the channel emulator failed; its log says why")
        return self.work.result()


class TransmitServicer(SymbolLinkServiceServicer):
    """Opens a stream to the center for each stream of an edge, and keeps the two together."""

    def __init__(
        self,
        links: Links,
        upstream: grpc_kit.Connection,
        metrics: Metrics,
        *,
        silence: float = SILENCE_SECONDS,
        largest: PictureSize = LARGEST_SIZE,
    ) -> None:
        """Connects when the first edge comes.

        upstream  to the center; the token that a camera presented goes along, ours does not
        silence   seconds without a frame after which another camera may take a view
        largest   pictures that are taken
        """
        self._links, self._upstream, self._metrics, self._largest = links, upstream, metrics, largest
        self.silence, self.hellos = silence, HelloReader()
        self._streams: dict[tuple[str, View], _Stream] = {}
        self._draining = False
        self._closing: set[asyncio.Task[None]] = set()

    async def Transmit(  # type: ignore[override]  # noqa: N802  # the stub's type knows iterators only
        self, request_iterator: AsyncIterator[link_pb2.TransmitRequest], context: Edge
    ) -> None:
        # Taken before the first wait: gRPC frees what it points to once the edge has gone.
        metadata = tuple(
            (key, value) for key, value in context.invocation_metadata() or () if key in FORWARDED_METADATA
        )
        try:
            self._refuse_while_draining()
            hello = await self.hellos.read(lambda: read_message(context))
            size = check_size(hello, self._largest, "largest_size of the channel emulator")
            name = (hello.rig, View.from_proto(hello.view))
            await self._make_room(name, hello)
            stream = self._open(name, hello, context, metadata, size)
        except StreamRefused as refusal:
            _log.info("a stream from %s is not taken: %s", context.peer(), refusal)
            await grpc_kit.abort(context, refusal.code, refusal)
        try:
            await asyncio.wait([stream.work])
        finally:
            await self._close(name, stream)
        end = stream.end()
        _log.info("%s: disconnected: %s %s", stream.link, end.code.name, end.line)
        if end.code is not grpc.StatusCode.OK:
            await context.abort(end.code, end.line)

    def report(self, now: float) -> None:
        """Let every edge know its SNR if it has moved."""
        for stream in self._streams.values():
            stream.bridge.report(now)

    async def drain(self, seconds: float) -> None:
        """Ask every edge to leave, refuse new ones, and wait at most `seconds` until all have left."""
        self._draining = True
        message = link_pb2.Drain(reason="the channel emulator stops", reconnect_after_ms=RECONNECT_AFTER_MS)
        for stream in self._streams.values():
            stream.bridge.drain(message)
        waiting = [asyncio.create_task(stream.closed.wait()) for stream in self._streams.values()]
        if waiting:
            _, left = await asyncio.wait(waiting, timeout=seconds)
            for task in left:
                task.cancel()

    async def close(self) -> None:
        """Cut the connection to the center."""
        await self._upstream.close()

    async def _make_room(self, name: tuple[str, View], hello: link_pb2.Hello) -> None:
        """End the former stream of a sender that came back, or of one that fell silent, and wait until it has ended.

        raises  StreamRefused if the view stays taken
        """
        view = "/".join(name)
        while (former := self._streams.get(name)) is not None:
            refusal = None
            try:
                former.replace(take_over(view, former.holder(), hello.boot_id, time.monotonic(), self.silence))
            except StreamRefused as refused:
                refusal = refused
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await former.closed.wait()
            except TimeoutError:
                if refusal is not None and time.monotonic() >= former.holder().silent_at(self.silence):
                    continue
                line = f"the former stream of {view} does not end; connect again"
                raise refusal or StreamRefused(Refusal.TAKEN, line) from None

    def _open(
        self,
        name: tuple[str, View],
        hello: link_pb2.Hello,
        edge: Edge,
        metadata: tuple[tuple[str, str | bytes], ...],
        size: PictureSize,
    ) -> _Stream:
        """raises StreamRefused if a drain began while we made room, or there is none"""
        self._refuse_while_draining()
        if len(self._streams) >= 2 * self._links.most:
            line = f"{len(self._streams)} streams are open; raise max_links or come back later"
            raise StreamRefused(Refusal.FULL, line)
        link = self._links.candidate(*name, time.monotonic())
        channel = self._upstream.channel()
        call = SymbolLinkServiceStub(channel).Transmit(metadata=metadata)
        welcomed = partial(self._welcomed, name, link)
        bridge = Bridge(link, self._upstream.address, edge, call, self._metrics, welcomed, size)
        stream = self._streams[name] = _Stream(link, hello, bridge, channel)
        return stream

    def _welcomed(self, name: tuple[str, View], link: Link, welcome: link_pb2.Welcome) -> None:
        """The center has taken the camera. raises StreamRefused if there is no room for its link any more"""
        self._links.admit(link)
        self._streams[name].center = welcome.boot_id
        self._bring_together(name)
        self._metrics.stream(link)
        _log.info("%s: connected", link)

    def _bring_together(self, name: tuple[str, View]) -> None:
        """If the other view is at another center, ask it to come again: it goes where this one went just now.

        Where several centers stand behind one name, one that stops or starts while the views of a rig connect parts
        them, and they would never be a pair again.
        """
        rig, view = name
        here, other = self._streams[name].center, self._streams.get((rig, view.other))
        if other is not None and 0 not in (here, other.center) and other.center != here:
            _log.warning("%s: its other view is at another center; it is asked to come again", other.link)
            other.bridge.drain(link_pb2.Drain(reason="the other view of this rig is at another center"))

    def _leave_a_dead_connection(self, stream: _Stream) -> None:
        """If a stream ends at which the center fell silent, and no other one has heard of it either, connect anew.

        A connection whose other end is gone without a word looks alive, and every new stream would go over it.
        """
        since = stream.bridge.waits_since
        if since is None or time.monotonic() - since < DEAD_SECONDS:
            return
        if any(other.bridge.answered_at > since for other in self._streams.values()):
            return
        _log.warning("the center at %s is silent; connecting to it anew", self._upstream.address)
        if (former := self._upstream.leave()) is not None:
            closing = asyncio.create_task(former.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _close(self, name: tuple[str, View], stream: _Stream) -> None:
        """Leave nothing behind, even if this task is being cancelled."""
        self._leave_a_dead_connection(stream)
        stream.work.cancel()
        try:
            await asyncio.wait([stream.work])
        finally:
            del self._streams[name]
            self._links.release(stream.link, time.monotonic())
            stream.closed.set()

    def _refuse_while_draining(self) -> None:
        if self._draining:
            raise StreamRefused(Refusal.DRAINING, "the channel emulator is draining; come back later")
