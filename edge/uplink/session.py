"""One stream, from Hello to its end: one task reads, one writes, and silence is noticed."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final, Protocol

from grpc import aio

from edge.camera.capture import CapturedFrame
from edge.encode.frames import FrameEncoder
from edge.metrics import Metrics
from edge.uplink.clock import ClockOffset
from edge.uplink.credit import CreditWindow
from wire.contract.link_settings import SETTINGS
from wire.runtime.grpc_kit import await_call
from wire.runtime.log_throttle import Throttle
from wire.v1 import symbol_link_service_pb2 as link_pb2

Call = aio.StreamStreamCall[link_pb2.TransmitRequest, link_pb2.TransmitResponse]

LEAVE_SECONDS: Final = 1.0
_OUTCOMES: Final = {
    link_pb2.OUTCOME_ACCEPTED: "accepted",
    link_pb2.OUTCOME_LOST: "lost",
    link_pb2.OUTCOME_DROPPED: "dropped",
    link_pb2.OUTCOME_REJECTED: "rejected",
}


class NewestFrame(Protocol):
    """Where captured frames are fetched; `edge.camera.capture.Camera` is one."""

    def take(self) -> CapturedFrame | None:
        """The newest captured frame, once."""


class Silence(Exception):
    """The other side does not answer any more, and no status says why."""


@dataclass(slots=True)
class Progress:
    """What outlives a stream. sequence: of the last frame made; snr_db: what the encoder assumes."""

    snr_db: float
    sequence: int = 0
    last_acknowledged: int = 0


class Session:
    """One stream over one call. All of it runs on one event loop."""

    def __init__(
        self,
        call: Call,
        *,
        frames: NewestFrame,
        encoder: FrameEncoder,
        window: CreditWindow,
        progress: Progress,
        metrics: Metrics,
        throttle: Throttle,
        patience: float,
    ) -> None:
        """call: a fresh one, which nobody else reads or writes; window, progress: of the uplink, which outlive the
        stream; patience: seconds without an answer after which the link counts as dead."""
        self._call, self._frames, self._encoder = call, frames, encoder
        self._window, self._progress, self._metrics, self._throttle = window, progress, metrics, throttle
        self._patience = patience
        self._work = asyncio.Event()
        self._leaving = False
        self.drain: link_pb2.Drain | None = None
        """Set when the other side has asked us to leave."""

    def wake(self) -> None:
        """There may be something to send."""
        self._work.set()

    def leave(self) -> None:
        """Send nothing more, receive the answers that are due, and end."""
        self._leaving = True
        self._work.set()

    async def handshake(self, hello: link_pb2.Hello, clock: ClockOffset) -> None:
        """Introduce ourselves and wait until the link stands.

        hello   gets the time at which it is sent
        clock   gets a sample: the Welcome says when the Hello came
        raises  Silence if no Welcome comes, AioRpcError if we are refused or nobody is there
        """
        hello.sent_at_ns = time.time_ns()
        try:
            async with asyncio.timeout(self._patience):
                await await_call(self._call.write(link_pb2.TransmitRequest(hello=hello)))
                answer = await await_call(self._call.read())
        except TimeoutError:
            raise Silence(f"no Welcome for {self._patience:g} s") from None
        except asyncio.InvalidStateError:  # over before the Hello was out; the status says why
            answer = await await_call(self._call.read())
        if not isinstance(answer, link_pb2.TransmitResponse) or not answer.HasField("welcome"):
            raise Silence("the stream did not begin with a Welcome")
        offset = clock.sample(hello.sent_at_ns, answer.welcome.received_at_ns, time.time_ns())
        self._metrics.clock_offset(offset)
        self._window.grant(answer.welcome.credit)
        self._tell_credit()

    async def run(self) -> None:
        """Send frames until we leave, are drained or the other side ends the stream.

        raises  Silence if frames stay unanswered, AioRpcError if the stream breaks
        """
        reader = asyncio.create_task(self._read())
        writer = asyncio.create_task(self._write())
        try:
            await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
            if writer.done() and writer.exception() is None:
                await asyncio.wait((reader,), timeout=LEAVE_SECONDS)
            for task in (reader, writer):
                if task.done():
                    task.result()
        finally:
            for task in (reader, writer):
                task.cancel()
            await asyncio.gather(reader, writer, return_exceptions=True)

    async def _write(self) -> None:
        try:
            while (captured := await self._next_frame()) is not None:
                await self._send(captured)
            await await_call(self._call.done_writing())
        except asyncio.InvalidStateError:
            pass  # the stream is over; the reader learns why

    async def _next_frame(self) -> CapturedFrame | None:
        """Wait for credit and a captured frame; None once it is time to leave. raises Silence"""
        loop = asyncio.get_running_loop()
        while not self._leaving:
            self._work.clear()
            overdue_at = self._window.overdue_at(self._patience)
            if overdue_at is not None and loop.time() >= overdue_at:
                raise Silence(f"no acknowledgement for {self._patience:g} s")
            if self._window.open and (captured := self._frames.take()) is not None:
                return captured
            try:
                async with asyncio.timeout_at(overdue_at):
                    await self._work.wait()
            except TimeoutError:
                pass  # the next turn says so
        return None

    async def _send(self, captured: CapturedFrame) -> None:
        self._progress.sequence += 1
        frame = await self._encoder.make(captured, self._progress.sequence, self._progress.snr_db)
        if frame is None or self._leaving:
            return
        began = asyncio.get_running_loop().time()
        self._window.send(frame.sequence, began)
        self._tell_credit()
        try:
            async with asyncio.timeout(self._patience):
                await await_call(self._call.write(link_pb2.TransmitRequest(frame=frame)))
        except TimeoutError:
            raise Silence(f"nothing could be sent for {self._patience:g} s") from None
        self._metrics.sent(frame.ByteSize(), asyncio.get_running_loop().time() - began)

    async def _read(self) -> None:
        while isinstance(response := await await_call(self._call.read()), link_pb2.TransmitResponse):
            match response.WhichOneof("message"):
                case "acknowledgement":
                    self._acknowledged(response.acknowledgement)
                case "link_report":
                    self._reported(response.link_report.snr_db)
                case "drain":
                    self.drain = response.drain
                    self.leave()

    def _acknowledged(self, answer: link_pb2.Acknowledgement) -> None:
        outcome = _OUTCOMES.get(answer.outcome, "rejected")
        seconds = self._window.acknowledge(answer.sequence, asyncio.get_running_loop().time())
        self._metrics.answered(outcome, answer.reason, seconds)
        if outcome in ("accepted", "dropped") and seconds is not None:
            self._window.came(answer.reason == "late", seconds)
        self._tell_credit()
        self._progress.last_acknowledged = max(self._progress.last_acknowledged, answer.sequence)
        if outcome == "rejected":
            self._throttle.warn("rejected", f"frame {answer.sequence} rejected ({answer.reason}): {answer.detail}")
        self._work.set()

    def _reported(self, snr_db: float) -> None:
        if SETTINGS["snr_db"].refusal(snr_db):
            self._throttle.warn(
                "report", f"the link reported an SNR of {snr_db:g} dB, which is none; the last one counts on"
            )
            return
        self._progress.snr_db = snr_db
        self._metrics.snr(snr_db)

    def _tell_credit(self) -> None:
        self._metrics.credit(self._window.size, self._window.in_use)
