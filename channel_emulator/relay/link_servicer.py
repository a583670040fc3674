"""SymbolLinkService: who may open a stream, one stream per view, and how streams end."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import grpc

from channel_emulator.links.link import Link
from channel_emulator.links.registry import Links, Name
from channel_emulator.metrics import Metrics
from channel_emulator.relay.bridge import Bridge, Edge, End, receive
from wire.contract import occupancy
from wire.contract.handshake import HELLO_SECONDS, StreamRefused, check_rig_name, first_hello
from wire.contract.occupancy import SILENCE_SECONDS, Takeover
from wire.runtime import grpc_kit
from wire.runtime.errors import UserError
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.v1.symbol_link_service_pb2_grpc import SymbolLinkServiceServicer, SymbolLinkServiceStub
from wire.views import View

FORWARDED_METADATA: Final = frozenset({"authorization", "x-rig-id"})
"""Headers of the edge that the center gets to see."""

RECONNECT_AFTER_MS: Final = 500
PATIENCE_SECONDS: Final = 0.5

_log = logging.getLogger("channel_emulator")


@dataclass(eq=False, slots=True)
class _Stream:
    """A stream that is up.

    link      what it crosses
    patience  seconds of silence after which it may be replaced
    work      the task that carries it
    closed    set when nothing of it is left
    accepted  whether the center has said Welcome
    replaced  the line to end with when another stream takes the view
    """

    link: Link
    boot_id: int
    patience: float
    bridge: Bridge
    work: asyncio.Task[End]
    closed: asyncio.Event
    replaced: str = ""
    accepted: bool = False

    def silence(self) -> float:
        """Seconds since the edge said something."""
        return time.monotonic() - self.bridge.heard_at

    def replace(self, line: str) -> None:
        self.replaced = line
        self.work.cancel()


class TransmitServicer(SymbolLinkServiceServicer):
    """Opens a stream to the center for each stream of an edge, and keeps the two together."""

    def __init__(self, links: Links, upstream: str, metrics: Metrics) -> None:
        """upstream: `host:port` of the center; connects when the first edge comes."""
        self._links, self._upstream, self._metrics = links, upstream, metrics
        self._channel = grpc_kit.connect(upstream)
        self._stub = SymbolLinkServiceStub(self._channel)
        self._streams: dict[Name, _Stream] = {}
        self._draining = False

    async def Transmit(  # type: ignore[override]  # noqa: N802  # the stub's type knows iterators only
        self, request_iterator: AsyncIterator[link_pb2.TransmitRequest], context: Edge
    ) -> None:
        try:
            hello = await first_hello(lambda: receive(context), HELLO_SECONDS)
            if hello is None:
                return
            link = self._admit(hello)
            await self._make_room(link, hello)
            stream = self._open(link, hello, context)
        except StreamRefused as refusal:
            await grpc_kit.abort(context, refusal.code, refusal)
        try:
            await asyncio.wait([stream.work])
        finally:
            await self._close(stream)
        end = _end(stream)
        _log.info("%s: %s: %s %s", link, "ended" if stream.accepted else "not taken", end.code.name, end.line)
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
        await self._channel.close()

    def _admit(self, hello: link_pb2.Hello) -> Link:
        """The link that a Hello asks for. raises StreamRefused"""
        self._refuse_while_draining()
        check_rig_name(hello.rig)
        try:
            view = View.from_proto(hello.view)
        except UserError as problem:
            raise StreamRefused("contract", str(problem)) from None
        return self._links.candidate(hello.rig, view, time.monotonic())

    async def _make_room(self, link: Link, hello: link_pb2.Hello) -> None:
        """End the former stream of a sender that comes back before we noticed that it left, or of one that fell silent.
        Give that of another sender a moment to end: a camera that restarts may be faster than the news of its death.

        raises  StreamRefused if the view stays taken
        """
        while (former := self._streams.get((link.rig, link.view))) is not None:
            silent_for = former.silence()
            match occupancy.judge(former.boot_id, hello.boot_id, silent_for, former.patience):
                case Takeover.SAME_SENDER:
                    former.replace("replaced by a newer stream of the same sender")
                case Takeover.SILENT:
                    former.replace(f"silent for {silent_for:.1f} s, so another sender took {link}; connect again")
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await former.closed.wait()
            except TimeoutError:
                if not former.replaced and former.silence() >= former.patience:
                    continue
                line = f"{link} is already connected from another sender; stop that one or choose another rig or view"
                raise StreamRefused("taken", line) from None

    def _open(self, link: Link, hello: link_pb2.Hello, edge: Edge) -> _Stream:
        """raises StreamRefused if a drain began while we made room"""
        self._refuse_while_draining()
        metadata = tuple((key, value) for key, value in edge.invocation_metadata() or () if key in FORWARDED_METADATA)
        call = self._stub.Transmit(metadata=metadata)
        bridge = Bridge(link, self._upstream, edge, call, self._metrics, lambda: self._accept(stream))
        patience = occupancy.allowed_silence(hello.frame_rate, SILENCE_SECONDS)
        work = asyncio.create_task(bridge.run(link_pb2.TransmitRequest(hello=hello)))
        stream = _Stream(link, hello.boot_id, patience, bridge, work, asyncio.Event())
        self._streams[link.rig, link.view] = stream
        return stream

    def _accept(self, stream: _Stream) -> None:
        """The center takes the stream: from now on its link is listed and measured. raises StreamRefused"""
        forgotten = self._links.keep(stream.link)
        if forgotten is not None:
            self._metrics.forget(forgotten)
            _log.info("%s: forgotten, it was unused and %s needs its place", forgotten, stream.link)
        stream.accepted = True
        self._metrics.stream(stream.link)
        self._note(stream.link, connected=True)
        _log.info("%s: connected", stream.link)

    async def _close(self, stream: _Stream) -> None:
        """Leave nothing behind, even if this task is being cancelled."""
        stream.work.cancel()
        try:
            await asyncio.wait([stream.work])
        finally:
            del self._streams[stream.link.rig, stream.link.view]
            if stream.accepted:
                self._note(stream.link, connected=False)
            stream.closed.set()

    def _refuse_while_draining(self) -> None:
        if self._draining:
            raise StreamRefused("draining", "the channel emulator is draining; come back later")

    def _note(self, link: Link, connected: bool) -> None:
        link.connected = connected
        self._links.changed(link)


def _end(stream: _Stream) -> End:
    """How a stream ends, given how its work did."""
    if stream.work.cancelled():
        return End(grpc.StatusCode.ABORTED, stream.replaced or "the stream was broken off; connect again")
    error = stream.work.exception()
    if error is not None:
        _log.error("a stream broke", exc_info=error)
        return End(grpc.StatusCode.INTERNAL, "the channel emulator failed; its log says why")
    return stream.work.result()
