"""SymbolLinkService: who may open a stream, one stream per view, and how streams end."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import grpc

from channel_emulator.links.link import Link
from channel_emulator.links.registry import Links, TooManyLinks
from channel_emulator.metrics import Metrics
from channel_emulator.relay.bridge import Bridge, Edge, End, receive
from wire.runtime import grpc_kit
from wire.runtime.errors import UserError
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.v1.symbol_link_service_pb2_grpc import SymbolLinkServiceServicer, SymbolLinkServiceStub
from wire.views import View

FORWARDED_METADATA: Final = frozenset({"authorization", "x-rig-id"})
"""Headers of the edge that the center gets to see."""

RECONNECT_AFTER_MS: Final = 500
LONGEST_RIG: Final = 64
PATIENCE_SECONDS: Final = 0.5
HELLO_SECONDS: Final = 10.0
SILENCE_SECONDS: Final = 1.0
"""After that long without a frame a stream gives its view up to another sender: a camera that lost power says no
goodbye, and gRPC takes 25 s to miss it."""

_log = logging.getLogger("channel_emulator")


class StreamRefused(Exception):
    """A stream that must not begin."""

    def __init__(self, code: grpc.StatusCode, line: str) -> None:
        super().__init__(line)
        self.code = code


@dataclass(eq=False, slots=True)
class _Stream:
    """A stream that is up.

    patience  seconds of silence after which it may be replaced
    work      the task that carries it
    closed    set when nothing of it is left
    replaced  the line to end with when another stream takes the view
    """

    boot_id: int
    patience: float
    bridge: Bridge
    work: asyncio.Task[End]
    closed: asyncio.Event
    replaced: str = ""

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
        self._streams: dict[Link, _Stream] = {}
        self._draining = False

    async def Transmit(  # type: ignore[override]  # noqa: N802  # the stub's type knows iterators only
        self, request_iterator: AsyncIterator[link_pb2.TransmitRequest], context: Edge
    ) -> None:
        try:
            first = await _first(context)
            if first is None:
                return
            link = self._admit(first)
            await self._make_room(link, first.hello)
            stream = self._open(link, first, context)
        except StreamRefused as refusal:
            await grpc_kit.abort(context, refusal.code, refusal)
        try:
            await asyncio.wait([stream.work])
        finally:
            await self._close(link, stream)
        end = _end(stream)
        _log.info("%s: disconnected: %s %s", link, end.code.name, end.line)
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

    def _admit(self, first: link_pb2.TransmitRequest) -> Link:
        """The link that a Hello asks for. raises StreamRefused"""
        self._refuse_while_draining()
        if not first.HasField("hello"):
            raise StreamRefused(grpc.StatusCode.INVALID_ARGUMENT, "the first message must be a Hello; send one")
        hello = first.hello
        if not 0 < len(hello.rig) <= LONGEST_RIG:
            line = f"the rig's name has {len(hello.rig)} characters; give it 1 to {LONGEST_RIG}"
            raise StreamRefused(grpc.StatusCode.INVALID_ARGUMENT, line)
        try:
            return self._links.take(hello.rig, View.from_proto(hello.view), time.monotonic())
        except TooManyLinks as problem:
            raise StreamRefused(grpc.StatusCode.RESOURCE_EXHAUSTED, str(problem)) from None
        except UserError as problem:
            raise StreamRefused(grpc.StatusCode.INVALID_ARGUMENT, str(problem)) from None

    async def _make_room(self, link: Link, hello: link_pb2.Hello) -> None:
        """End the former stream of a sender that comes back before we noticed that it left, or of one that fell silent.
        Give that of another sender a moment to end: a camera that restarts may be faster than the news of its death.

        raises  StreamRefused if the view stays taken
        """
        while (former := self._streams.get(link)) is not None:
            if former.boot_id == hello.boot_id:
                former.replace("replaced by a newer stream of the same sender")
            elif (silence := former.silence()) >= former.patience:
                former.replace(f"silent for {silence:.1f} s, so another sender took {link}; connect again")
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await former.closed.wait()
            except TimeoutError:
                if not former.replaced and former.silence() >= former.patience:
                    continue
                line = f"{link} is already connected from another sender; stop that one or choose another rig or view"
                raise StreamRefused(grpc.StatusCode.FAILED_PRECONDITION, line) from None

    def _open(self, link: Link, first: link_pb2.TransmitRequest, edge: Edge) -> _Stream:
        """raises StreamRefused if a drain began while we made room"""
        self._refuse_while_draining()
        metadata = tuple((key, value) for key, value in edge.invocation_metadata() or () if key in FORWARDED_METADATA)
        bridge = Bridge(link, self._upstream, edge, self._stub.Transmit(metadata=metadata), self._metrics)
        rate = first.hello.frame_rate
        patience = max(SILENCE_SECONDS, 2.0 / rate) if rate > 0.0 else SILENCE_SECONDS
        stream = _Stream(first.hello.boot_id, patience, bridge, asyncio.create_task(bridge.run(first)), asyncio.Event())
        self._streams[link] = stream
        self._metrics.stream(link)
        self._note(link, connected=True)
        _log.info("%s: connected", link)
        return stream

    async def _close(self, link: Link, stream: _Stream) -> None:
        """Leave nothing behind, even if this task is being cancelled."""
        stream.work.cancel()
        try:
            await asyncio.wait([stream.work])
        finally:
            del self._streams[link]
            self._note(link, connected=False)
            stream.closed.set()

    def _refuse_while_draining(self) -> None:
        if self._draining:
            raise StreamRefused(grpc.StatusCode.UNAVAILABLE, "the channel emulator is draining; come back later")

    def _note(self, link: Link, connected: bool) -> None:
        link.connected = connected
        self._links.changed(link)


async def _first(edge: Edge) -> link_pb2.TransmitRequest | None:
    """The first message; None if there is none. raises StreamRefused"""
    try:
        async with asyncio.timeout(HELLO_SECONDS):
            first: link_pb2.TransmitRequest | None = await receive(edge)
    except TimeoutError:
        line = f"no Hello within {HELLO_SECONDS:g} s; send one first"
        raise StreamRefused(grpc.StatusCode.INVALID_ARGUMENT, line) from None
    return first


def _end(stream: _Stream) -> End:
    """How a stream ends, given how its work did."""
    if stream.work.cancelled():
        return End(grpc.StatusCode.ABORTED, stream.replaced or "the stream was broken off; connect again")
    error = stream.work.exception()
    if error is not None:
        _log.error("a stream broke", exc_info=error)
        return End(grpc.StatusCode.INTERNAL, "the channel emulator failed; its log says why")
    return stream.work.result()
