"""One camera's stream through its channel: four tasks around two bounded queues.

    edge --read--> _receive_from_edge --uplink--> _send_to_center --write--> center
    edge <-write-- _send_to_edge <-downlink-- _receive_from_center <-read-- center

Each side of each stream has exactly one reader and one writer. A frame that is delayed waits in the uplink
queue with the time at which it is due, so it holds back its followers (order is kept) and not the reader.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

import grpc
from grpc import aio

from channel_emulator.links.link import Delivered, Link
from channel_emulator.metrics import Metrics
from channel_emulator.relay.frames import acknowledge, process_frame
from wire.contract.handshake import StreamEnd, StreamRefused
from wire.contract.pace import Pace
from wire.geometry import DEFAULT_SIZE, PictureSize
from wire.runtime import grpc_kit
from wire.runtime.errors import FrameError
from wire.security.certificates import why_no_connection
from wire.v1 import symbol_link_service_pb2 as link_pb2

Edge = aio.ServicerContext[link_pb2.TransmitRequest, link_pb2.TransmitResponse]
Call = aio.StreamStreamCall[link_pb2.TransmitRequest, link_pb2.TransmitResponse]

QUEUE: Final = 64
"""Messages per direction; credit keeps it almost empty, and a full one stops the reading. Of pictures larger
than 128x256 there are fewer, so that what waits stays below 11 MB a link."""

LEAST_QUEUE: Final = 8
"""Frames, however large."""

REPORT_STEP_DB: Final = 0.01
"""Smaller changes of the SNR are not told."""

WELCOME_SECONDS: Final = 10.0
"""A center that has not answered the Hello by then is taken for dead; an edge gives up after 3 s."""

_log = logging.getLogger("channel_emulator")

_CUT_OFF: Final = StreamEnd(grpc.StatusCode.UNAVAILABLE, "the stream was cut off; connect again")


class _Ended(Exception):
    """Carries the end out of whichever task came to it first."""

    def __init__(self, end: StreamEnd) -> None:
        super().__init__(end)
        self.end = end


async def read_message(side: Edge | Call) -> Any:
    """The next message of either side; None at its end."""
    message: Any = await side.read()
    return None if message is aio.EOF else message


class Bridge:
    """Carries one edge's stream to the center and back.

    link      the channel it crosses
    upstream  address of the center, for messages
    edge      the inbound call: read() and write()
    call      the outbound call
    welcomed  called when the center has taken the stream; until then the link is not touched;
              raises StreamRefused if the link cannot be taken any more
    size      of the stream's pictures
    """

    def __init__(
        self,
        link: Link,
        upstream: str,
        edge: Edge,
        call: Call,
        metrics: Metrics,
        welcomed: Callable[[link_pb2.Welcome], None],
        size: PictureSize = DEFAULT_SIZE,
    ) -> None:
        self._link, self._upstream, self._edge, self._call, self._metrics = link, upstream, edge, call, metrics
        self._size = size
        most = max(LEAST_QUEUE, size.most_in(QUEUE))
        self._uplink: asyncio.Queue[tuple[float, link_pb2.TransmitRequest] | None] = asyncio.Queue(most)
        self._downlink: asyncio.Queue[link_pb2.TransmitResponse | StreamEnd] = asyncio.Queue(QUEUE)
        self._on_welcome, self._welcomed = welcomed, asyncio.Event()
        self._reported: float | None = None
        self._complained = False
        self._ended_here = Pace()
        self.heard_at = time.monotonic()
        """When the edge last said something."""
        self.answered_at = time.monotonic()
        """When the center last said something."""
        self.waits_since: float | None = None
        """Since when something that was sent to the center waits for any word of it; None if nothing does."""

    async def run(self, hello: link_pb2.TransmitRequest) -> StreamEnd:
        """Work until either side ends; cancel it to break off. No task outlives it.

        hello    the edge's first message, forwarded as it is
        returns  how the edge's stream is to end: as the center's did
        """
        self._uplink.put_nowait((0.0, hello))
        steps = (self._receive_from_edge(), self._send_to_center(), self._receive_from_center(), self._send_to_edge())
        tasks = [asyncio.create_task(_cut_off(step)) for step in steps]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            done = [task for task in tasks if task.done() and not task.cancelled()]
            failures = [failure for task in done if (failure := task.exception())]
        finally:
            self._call.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for failure in failures:
            if isinstance(failure, _Ended):
                return failure.end
        if failures:
            raise failures[0]
        return _CUT_OFF

    def report(self, now: float) -> None:
        """Tell the edge its SNR if it does not know it yet; a full queue is tried again at the next call."""
        if not self._welcomed.is_set():
            return
        snr_db = self._link.reported_snr_db(now)
        if snr_db is None or (self._reported is not None and not _differs(snr_db, self._reported)):
            return
        if self._send_down(link_pb2.TransmitResponse(link_report=link_pb2.LinkReport(snr_db=snr_db))):
            self._reported = snr_db

    def drain(self, drain: link_pb2.Drain) -> None:
        """Ask the edge to finish and come back later."""
        self._send_down(link_pb2.TransmitResponse(drain=drain))

    async def _receive_from_edge(self) -> None:
        await self._welcomed.wait()  # a frame that comes before the Welcome waits: the link may not be taken
        due = 0.0
        request: link_pb2.TransmitRequest | None
        while (request := await read_message(self._edge)) is not None:
            if request.WhichOneof("message") != "frame":
                line = "after the Hello every message must be a frame; open another stream for another Hello"
                raise _Ended(StreamEnd(grpc.StatusCode.INVALID_ARGUMENT, line))
            frame, now = request.frame, time.monotonic()
            self.heard_at = now
            sequence, received = frame.sequence, len(frame.symbols.data)
            began = time.perf_counter()
            outcome = process_frame(self._link, frame, now, self._size)
            seconds = time.perf_counter() - began
            if isinstance(outcome, Delivered):
                self._metrics.frame(self._link, outcome, seconds, received, len(frame.symbols.data))
                frame.stages.add(stage="channel", microseconds=round(seconds * 1e6))
                due = max(due, now + self._link.delay(sequence))
                await self._uplink.put((due, request))
            else:
                self._metrics.frame(self._link, outcome, seconds, received, 0)
                if isinstance(outcome, FrameError):
                    self._complain(sequence, outcome)
                self._ended_here.count(now)  # the center, which would end a stream that is faster, does not see it
                if complaint := self._ended_here.complaint():
                    raise _Ended(StreamEnd(grpc.StatusCode.RESOURCE_EXHAUSTED, complaint))
                answer = link_pb2.TransmitResponse(acknowledgement=acknowledge(sequence, outcome))
                await self._downlink.put(answer)
        await self._uplink.put(None)

    async def _send_to_center(self) -> None:
        try:
            while (item := await self._uplink.get()) is not None:
                due, request = item
                wait = due - time.monotonic()
                if wait > 0.0:
                    await asyncio.sleep(wait)
                if self.waits_since is None:
                    self.waits_since = time.monotonic()
                await self._call.write(request)
            await self._call.done_writing()
        except (aio.AioRpcError, asyncio.InvalidStateError):
            pass  # the center's stream is over; _receive_from_center learns how

    async def _receive_from_center(self) -> None:
        end = StreamEnd()
        try:
            async with asyncio.timeout(WELCOME_SECONDS):
                response: link_pb2.TransmitResponse | None = await read_message(self._call)
            while response is not None:
                self.answered_at, self.waits_since = time.monotonic(), None
                if response.HasField("welcome") and not self._welcomed.is_set():
                    self._on_welcome(response.welcome)
                    await self._downlink.put(response)
                    self.heard_at = time.monotonic()
                    self._welcomed.set()
                    self.report(self.heard_at)
                else:
                    if response.HasField("drain") and grpc_kit.stands_for_several(self._upstream):
                        response.drain.reconnect_after_ms = 0  # another center takes the camera at once
                    await self._downlink.put(response)
                response = await read_message(self._call)
        except TimeoutError:
            line = f"the center at {self._upstream} sent no Welcome for {WELCOME_SECONDS:g} s; connect again"
            end = StreamEnd(grpc.StatusCode.UNAVAILABLE, line)
        except StreamRefused as refusal:
            end = StreamEnd(refusal.code, str(refusal))
        except aio.AioRpcError as error:
            end = self._end(error)
        await self._downlink.put(end)

    async def _send_to_edge(self) -> None:
        while not isinstance(item := await self._downlink.get(), StreamEnd):
            await self._edge.write(item)
        raise _Ended(item)

    def _send_down(self, response: link_pb2.TransmitResponse) -> bool:
        try:
            self._downlink.put_nowait(response)
        except asyncio.QueueFull:
            return False
        return True

    def _end(self, error: aio.AioRpcError) -> StreamEnd:
        """As the center ended it; where gRPC speaks in its place, a line that says what to do."""
        line = error.details() or error.code().name
        if error.code() is grpc.StatusCode.UNAVAILABLE and "failed to connect" in line:
            meant = why_no_connection(line)
            if meant:
                return StreamEnd(error.code(), f"the center at {self._upstream} cannot be reached: {meant}")
            return StreamEnd(error.code(), f"no center answers at {self._upstream}; start it: vergence-center run")
        if line == grpc_kit.STATUS_LOST:
            return StreamEnd(grpc.StatusCode.UNAVAILABLE, grpc_kit.STATUS_LOST_BEYOND)
        return StreamEnd(error.code(), line)

    def _complain(self, sequence: int, problem: FrameError) -> None:
        """Log the first refusal of a stream; the metrics count the rest."""
        level = logging.DEBUG if self._complained else logging.WARNING
        self._complained = True
        _log.log(level, "%s: frame %d rejected (%s): %s", self._link, sequence, problem.reason, problem)


async def _cut_off(step: Coroutine[Any, Any, None]) -> None:
    try:
        await grpc_kit.await_call(step)
    except grpc_kit.CutOff:
        raise _Ended(_CUT_OFF) from None


def _differs(a: float, b: float) -> bool:
    return a != b and abs(a - b) > REPORT_STEP_DB
