"""SymbolLinkService: one stream per camera, thin around the pipeline."""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any, Final, Literal

import grpc
from grpc import aio

from center.config import LinksSection
from center.ingest.camera import Session
from center.ingest.credit import Credit
from center.ingest.ingest import FrameIngest
from center.metrics import Metrics
from wire.contract.handshake import HelloReader, StreamEnd, StreamRefused
from wire.contract.outcomes import Reason
from wire.runtime.errors import UserError
from wire.runtime.grpc_kit import abort
from wire.runtime.log_throttle import Throttle
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.v1 import symbol_link_service_pb2_grpc as link_grpc

log = logging.getLogger(__name__)

MOST_UNREAD: Final = 256
"""Answers that a stream may leave unread before it is ended; a sender that keeps its credit leaves a handful."""
MOST_BEYOND_CREDIT: Final = 32
"""Frames that a stream may send without credit in its life; each is refused, and one more ends it."""


class SymbolLinkServicer(link_grpc.SymbolLinkServiceServicer):
    """Takes symbols in. The handler writes, one task beside it reads."""

    def __init__(self, ingest: FrameIngest, links: LinksSection, metrics: Metrics) -> None:
        self._ingest, self._links, self._metrics = ingest, links, metrics
        self._boot_id = secrets.randbits(63) + 1
        self._hellos, self._knocks = HelloReader(), Throttle(log, interval=1.0)

    async def Transmit(self, request_iterator: Any, context: Any) -> None:  # type: ignore[override]  # noqa: N802
        """Writes with `context.write`, not as a generator: so the clean-up below runs at once, whatever happens."""
        stream = _Stream(self._ingest, self._links)
        try:
            requests: AsyncIterator[link_pb2.TransmitRequest] = request_iterator  # what it makes must not go unread
            hello = await self._hellos.read(lambda: _next(requests))
            session = self._ingest.connect(hello, stream.replaced, stream.say_drain)
        except StreamRefused as problem:
            self._metrics.hellos.labels(problem.reason).inc()
            line = f"a stream from {context.peer()} is not taken: {problem}"
            if problem.code is grpc.StatusCode.UNAVAILABLE:  # every camera knocks again and again until we are ready
                self._knocks.warn(problem.reason, line, logging.INFO)
            else:
                log.warning("%s", line)
            await abort(context, problem.code, problem)
        self._metrics.hellos.labels("accepted").inc()
        log.info("rig %s: %s camera connected from %s", session.rig.name, session.view, context.peer())
        reader = asyncio.create_task(stream.read(requests, session), name="read")
        try:
            welcome = link_pb2.Welcome(credit=self._links.credit, received_at_ns=time.time_ns(), boot_id=self._boot_id)
            await context.write(link_pb2.TransmitResponse(welcome=welcome))
            while isinstance(message := await stream.outbox.get(), link_pb2.TransmitResponse):
                await context.write(message)
            if message.code is not grpc.StatusCode.OK:
                await abort(context, message.code, UserError(message.line))
        finally:
            reader.cancel()
            self._ingest.disconnect(session)
            log.info("rig %s: a stream of the %s camera ended", session.rig.name, session.view)


class _Stream:
    """One stream's reader, and the outbox that its writer empties."""

    def __init__(self, ingest: FrameIngest, links: LinksSection) -> None:
        self.outbox: asyncio.Queue[link_pb2.TransmitResponse | StreamEnd] = asyncio.Queue()
        self._ingest, self._links = ingest, links
        self._credit = Credit(links.credit)
        self._no_more = False
        self._ended = False

    async def read(self, requests: AsyncIterator[link_pb2.TransmitRequest], session: Session) -> None:
        """Hand every frame to the pipeline, until the sender or the contract ends the stream."""
        try:
            while not self._ended:
                async with asyncio.timeout(self._links.idle_s):
                    request = await anext(requests)
                if request.WhichOneof("message") != "frame":
                    line = "after the Hello every message must be a frame; send symbols, and few stages"
                    self._end(grpc.StatusCode.INVALID_ARGUMENT, line)
                    return
                self._take(session, request.frame)
        except StopAsyncIteration:
            self._ingest.disconnect(session)
            self._no_more = True
            self._end_if_done()
        except TimeoutError:
            self._end(grpc.StatusCode.UNAVAILABLE, f"no frame for {self._links.idle_s:.0f} s; connect again")
        except aio.AbortError:
            pass  # the writer has ended the stream, and said why
        except Exception:
            log.exception("rig %s: reading from the %s camera failed", session.rig.name, session.view)
            self._end(grpc.StatusCode.INTERNAL, "reading failed; see the center's log")
        finally:
            # However it ended: who does not read holds up the handler, which would say so, for as long as he likes.
            self._ingest.disconnect(session)

    def replaced(self, line: str) -> None:
        """Another stream speaks for the camera now."""
        self._end(grpc.StatusCode.ABORTED, line)

    def say_drain(self, reason: str, reconnect_after_ms: int) -> None:
        """Ask the sender to leave."""
        drain = link_pb2.Drain(reason=reason, reconnect_after_ms=reconnect_after_ms)
        self.outbox.put_nowait(link_pb2.TransmitResponse(drain=drain))

    def _take(self, session: Session, frame: link_pb2.SymbolFrame) -> None:
        if self._credit.take():
            self._ingest.receive(session, frame, self._answer, self._credit.given_at)
            if complaint := session.rig.cameras[session.view].pace.complaint():
                self._cut_off(session, complaint)
            return
        self._ingest.refuse(session, frame, self._answer)
        if self._credit.exceeded > MOST_BEYOND_CREDIT:
            self._cut_off(session, f"{self._credit.exceeded} frames came without credit; wait for acknowledgements")

    def _cut_off(self, session: Session, line: str) -> None:
        log.warning("rig %s: the %s camera is cut off: %s", session.rig.name, session.view, line)
        self._end(grpc.StatusCode.RESOURCE_EXHAUSTED, line)

    def _answer(
        self, sequence: int, outcome: "link_pb2.Outcome.ValueType", reason: Reason | Literal[""], detail: str
    ) -> None:
        self._credit.answer(self._ingest.clock.now())
        answer = link_pb2.Acknowledgement(sequence=sequence, outcome=outcome, reason=reason, detail=detail)
        self.outbox.put_nowait(link_pb2.TransmitResponse(acknowledgement=answer))
        if self.outbox.qsize() > MOST_UNREAD:
            self._end(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{MOST_UNREAD} answers are unread; read while you write")
        self._end_if_done()

    def _end_if_done(self) -> None:
        """After the sender's last frame, stay until all are answered."""
        if self._no_more and self._credit.unanswered == 0:
            self._end(grpc.StatusCode.OK)

    def _end(self, code: grpc.StatusCode, line: str = "") -> None:
        """The first end counts; nothing is read after it, so that a sender that never reads cannot fill the outbox."""
        if not self._ended:
            self._ended = True
            self.outbox.put_nowait(StreamEnd(code, line))


async def _next(requests: AsyncIterator[link_pb2.TransmitRequest]) -> link_pb2.TransmitRequest | None:
    """The next message; None at the end. Not by `anext(requests, None)`, which breaks off badly when cancelled."""
    try:
        return await anext(requests)
    except StopAsyncIteration:
        return None
