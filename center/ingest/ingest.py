"""The way in: which streams are taken, and what of each frame."""

import asyncio
import logging
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from center.config import LinksSection
from center.decode.engines import Engine
from center.decode.pipeline import Pipeline
from center.ingest.camera import Session
from center.ingest.camera_clock import PLAINLY_APART, CameraClock
from center.ingest.frames import Answer, Frame, check_and_equalise, stage_times
from center.ingest.rigs import Rigs
from center.metrics import Metrics
from center.output.quality import FrameKey
from center.steady_clock import SteadyClock
from wire.contract.handshake import Refusal, StreamRefused, check_size
from wire.contract.names import shown
from wire.geometry import DEFAULT_SIZE, PictureSize
from wire.runtime.errors import FrameError
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.views import View

log = logging.getLogger(__name__)

_NANO: Final = 1e-9
RECONNECT_AFTER_MS: Final = 1_000
"""What cameras are asked to wait for a center that restarts; those that know another one do not."""
_MOST_STEPS_TOLD: Final = 8
"""Of one stream; a camera whose clock jumps with every frame must not fill the log."""

BOUNDARY_SECONDS: Final = 0.5
"""How long a stop may wait for the moment between two instants of a rig."""
BOUNDARY_STEP: Final = 0.005


class FrameIngest:
    """Checks what comes and hands it on. All methods belong to the event loop's thread.

    clock     what every time in here is told on
    any_size  whether the decoder knows pictures of other sizes than 128x256
    """

    def __init__(
        self,
        links: LinksSection,
        rigs: Rigs,
        pipeline: Pipeline,
        metrics: Metrics,
        clock: SteadyClock,
    ) -> None:
        self.draining = False
        self.any_size = True
        self._empty = asyncio.Event()
        self._streams: set[Session] = set()
        self.clock = clock
        self._links, self._rigs, self._pipeline, self._metrics = links, rigs, pipeline, metrics

    @property
    def engine(self) -> Engine | None:
        """The decoder behind the pipeline; None until it is warm, and so long no stream is taken."""
        return self._pipeline.engine

    def connect(self, hello: link_pb2.Hello, end: Callable[[str], None], drain: Callable[[str, int], None]) -> Session:
        """Take a stream in.

        hello   checked by the handshake
        end     called with a line when a newer stream of the same camera takes its place
        drain   called with a reason when the camera is to leave, and after how many ms it may come again
        raises  StreamRefused if the stream cannot be taken
        """
        if self.draining:
            raise StreamRefused(Refusal.DRAINING, "this center is going away; come back later")
        if self.engine is None:
            raise StreamRefused(Refusal.WARMING, "this center is still loading its decoder; come back in a few seconds")
        view = View.from_proto(hello.view)
        if hello.codec_hash != self.engine.codec_hash:
            raise StreamRefused(
                Refusal.CODEC,
                f"the camera encodes with codec {shown(hello.codec_hash)}, this center decodes"
                f" {self.engine.codec_hash}; give both the same codec",
            )
        size = self._size(hello)
        now = self.clock.now()
        gap = now - hello.sent_at_ns * _NANO if hello.sent_at_ns else 0.0
        rig = self._rigs.admit(hello.rig, size)
        clock = rig.known_clock(view, hello.boot_id) or _clock(gap, hello.frame_rate)
        session, former = Session(rig, view, hello.boot_id, clock, end, drain, size=size), rig.size
        if (silent := rig.check(session, now)) is not None:
            silent.end(f"silent, and the other camera of rig {rig.name} has pictures of {size} now; connect again")
            self.disconnect(silent)
        rig.connect(session, hello.frame_rate, now, hello.loop_ms / 1e3)
        self._streams.add(session)
        if former != size:  # what still waits finds no partner of its size
            self._pipeline.handle(rig, rig.pairer.flush())
        self._metrics.connected.labels(rig.name, view).set(1)
        self._metrics.clock_offset.labels(rig.name, view).set(gap + self.clock.step)
        if abs(gap) > PLAINLY_APART:
            log.warning(
                "rig %s: by its Hello the clock of the %s camera is %.1f s off; set it by NTP or PTP",
                rig.name,
                view,
                -gap,
            )
        return session

    def disconnect(self, session: Session) -> None:
        """A stream ended; harmless for one that was replaced or has ended already."""
        rig, view = session.rig, session.view
        if _speaks(session):
            self._metrics.connected.labels(rig.name, view).set(0)
            self._pipeline.handle(rig, rig.disconnect(session, self.clock.now()))
        self._streams.discard(session)
        if not self._streams:
            self._empty.set()

    def receive(
        self, session: Session, message: link_pb2.SymbolFrame, answer: Answer, given_at: float = -math.inf
    ) -> None:
        """Take one frame; nothing of a stream that speaks for its camera no more. What such a stream still sends may be
        of another size than its rig has by now, and would spoil the batch of all rigs that it is decoded in.

        answer    called once, now or later
        given_at  when the credit that the frame used was given, seconds on the clock
        """
        if not _speaks(session):
            return
        now = self.clock.now()
        rig, view = session.rig, session.view
        rig.cameras[view].pace.count(now)
        rig.cameras[view].heard_at = now
        self._metrics.last_frame.labels(rig.name, view).set(now + self.clock.step)
        try:
            symbols, reliability, snr_db = check_and_equalise(message, session.size)
        except FrameError as problem:
            self._pipeline.answers.count_drop(rig.name, view, "rejected", problem.reason)
            answer(message.sequence, link_pb2.OUTCOME_REJECTED, problem.reason, str(problem))
            return
        stages = stage_times(message)
        captured_at = message.captured_at_ns * _NANO
        if message.sequence > session.newest:
            session.newest = message.sequence
            captured_at = self._on_our_clock(session, captured_at, now, sum(stages.values()), given_at)
        else:  # sent again, or out of order: it says nothing of the clock
            captured_at += session.clock.offset
        budget = (message.age_budget_ms or self._links.age_budget_ms) / 1e3
        rig.cameras[view].captured_at = captured_at
        frame = Frame(
            key=FrameKey(rig.name, view, session.boot_id, message.sequence),
            captured_at=captured_at,
            arrived_at=now,
            expires_at=captured_at + budget if budget else math.inf,
            symbols=symbols,
            reliability=reliability,
            snr_db=snr_db,
            stages=stages,
            referenced=message.referenced,
            answer=answer,
            message=message,
            size=session.size,
        )
        self._metrics.snr.labels(rig.name, view).set(frame.snr_db)
        if now >= frame.expires_at:
            age = now - captured_at
            self._pipeline.answers.drop(
                frame, "late", f"it came {age:.2f} s after its capture; {budget:.2f} s are allowed"
            )
        else:
            outcomes = rig.pairer.push(frame)
            self._metrics.skew.labels(rig.name).set(rig.pairer.skew)
            self._pipeline.handle(rig, outcomes)

    def _on_our_clock(self, session: Session, captured_at: float, now: float, before: float, given_at: float) -> float:
        """A capture time on our clock, seconds; tells of a camera's clock that was set."""
        clock, steps, offset = session.clock, session.clock.steps, session.clock.offset
        told = clock.correct(captured_at, now, before, given_at)
        self._metrics.clock_offset.labels(session.rig.name, session.view).set(clock.gap + self.clock.step)
        if clock.steps > steps and steps < _MOST_STEPS_TOLD:
            log.warning(
                "rig %s: the clock of the %s camera was set by %+.2f s; its pictures are paired by the new time",
                session.rig.name,
                session.view,
                offset - clock.offset,
            )
        return told

    def refuse(self, session: Session, message: link_pb2.SymbolFrame, answer: Answer) -> None:
        """Drop a frame that was sent without credit."""
        if not _speaks(session):
            return
        session.rig.cameras[session.view].heard_at = self.clock.now()
        self._pipeline.answers.count_drop(session.rig.name, session.view, "dropped", "overload")
        detail = f"more than {self._links.credit} frames are unacknowledged; wait for acknowledgements"
        answer(message.sequence, link_pb2.OUTCOME_DROPPED, "overload", detail)

    def _size(self, hello: link_pb2.Hello) -> PictureSize:
        """raises StreamRefused (size) if pictures as large as this, or of this size, are not decoded here"""
        size = check_size(hello, self._links.largest_size, "links.largest_size of the center")
        if size != DEFAULT_SIZE and not self.any_size:
            raise StreamRefused(
                Refusal.SIZE,
                f"the codec of this center knows pictures of {DEFAULT_SIZE} only, not of {size}; export it anew, or set"
                f" size of the edge to {DEFAULT_SIZE}",
            )
        return size

    def sessions(self) -> list[Session]:
        """Every stream that speaks for a camera."""
        return [session for session in self._streams if _speaks(session)]

    async def drain(self, patience: float) -> None:
        """Take no new stream; wait at most `patience` seconds for the open ones to leave. Their frames still count."""
        self.draining = True
        await self._ask_to_leave(min(BOUNDARY_SECONDS, 0.5 * patience))
        if self._streams:
            self._empty.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), patience)

    async def _ask_to_leave(self, patience: float) -> None:
        """Ask each rig's cameras between two of its instants: then no view of one is sent here, the other elsewhere.

        patience  seconds after which a rig that has no such moment is asked all the same
        """
        began, asked = self.clock.now(), set[Session]()
        while waiting := [session for session in self.sessions() if session not in asked]:
            late = self.clock.now() - began >= patience
            for session in waiting:
                if late or session.rig.between_instants(began):
                    session.drain("the center is shutting down", RECONNECT_AFTER_MS)
                    asked.add(session)
            if not late:
                await asyncio.sleep(BOUNDARY_STEP)


def _speaks(session: Session) -> bool:
    """Whether it still speaks for its camera: no other has taken its place, and it has not ended."""
    return session.rig.cameras[session.view].session is session


def _clock(gap: float, frame_rate: float) -> CameraClock:
    """frame_rate: frames a second; 0 is unknown"""
    return CameraClock(gap, 1.0 / frame_rate) if frame_rate else CameraClock(gap)
