"""The live path behind the frame ingest: pairers' decisions in, decoded pairs out.

    pairer (per rig) -> batcher (all rigs) -> decoder thread -> publisher -> broadcaster, quality monitor

A frame is acknowledged when it leaves for the decoder or is dropped, never before: a camera's credit is
exactly what this center has not begun to decode, so a slow decoder slows the cameras instead of ageing pictures.
A frame that had to make room for a newer one is acknowledged only when that one leaves: else a camera would
encode at full speed, on the cores that the decoder needs, what is then thrown away.
"""

import asyncio
import itertools
import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from center.config import BatchingSection
from center.decode.answers import Answers
from center.decode.batcher import Batcher, Dropped
from center.decode.engines import BatchLost, Engine, RayEngine, base
from center.decode.failures import Failures
from center.decode.forecast import Forecast, Started
from center.decode.jobs import Decoded, Job, decode
from center.decode.looks import Looks
from center.decode.pairer import DroppedLate, Outcome, Paired, Repeated, Single
from center.decode.publisher import Publisher, latest_show
from center.ingest.frames import Frame
from center.ingest.rig import Rig
from center.ingest.rigs import Rigs
from center.metrics import Metrics
from center.output.broadcast import PairBroadcaster
from center.output.quality_monitor import QualityMonitor
from center.steady_clock import SteadyClock
from wire.contract.outcomes import Reason

log = logging.getLogger(__name__)

_AGAIN: Final = 0.1
"""Seconds until a rig that failed is looked at again."""

OnDecoded = Callable[[Sequence[Job], Sequence[tuple[Decoded, ...]], float, float], None]


class Pipeline:
    """Owns the queue and the decoder's thread. All methods belong to the event loop's thread.

    engine      set once it is warm, before the first frame; see `engines.base.in_flight` for one that takes several
                batches at once
    on_decoded  told of every decoded batch: jobs, their views, when the decoder began and ended (seconds on the clock);
                must neither wait nor raise
    clock       what every time in here is told on
    """

    def __init__(
        self,
        batching: BatchingSection,
        rigs: Rigs,
        broadcaster: PairBroadcaster,
        quality: QualityMonitor,
        metrics: Metrics,
        clock: SteadyClock,
    ) -> None:
        self._engine: Engine | None = None
        self.on_decoded: OnDecoded = lambda *_: None
        self._batcher: Batcher[Job] = Batcher(
            batching.max_size or 1, batching.max_delay_ms / 1e3, batching.queue, batching.queue_per_rig, batching.ahead
        )
        self._rigs, self._metrics, self._clock = rigs, metrics, clock
        self.answers = Answers(rigs, metrics, clock)
        self._publisher = Publisher(rigs, broadcaster, quality, metrics, clock)
        self._looks: Looks[Rig] = Looks()  # when to look at a rig's pairer again
        self._forecast = Forecast()
        self.failures = Failures()
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="decoder")
        self._decoding: dict[asyncio.Task[None], tuple[int, int]] = {}  # number and jobs of each batch
        self._numbers = itertools.count()
        self._shown: dict[str, int] = {}  # the newest batch that a rig was shown of, while older ones may still come
        self._superseded: defaultdict[str, list[Frame]] = defaultdict(list)
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def engine(self) -> Engine | None:
        return self._engine

    @engine.setter
    def engine(self, engine: Engine) -> None:
        self._engine = engine
        self._threads = ThreadPoolExecutor(base.threads(engine), thread_name_prefix="decoder")

    @property
    def max_size(self) -> int:
        """Instants in a batch at most."""
        return self._batcher.max_size

    @max_size.setter
    def max_size(self, size: int) -> None:
        self._batcher.max_size = size

    @property
    def broken(self) -> bool:
        """Whether the engine of this process fails on everything. Replicas that do are replaced elsewhere."""
        return not isinstance(self._engine, RayEngine) and self.failures.are_for_good(self._clock.now())

    @property
    def queued(self) -> int:
        """Instants that wait for the decoder."""
        return len(self._batcher)

    def handle(self, rig: Rig, outcomes: Iterable[Outcome[Frame]]) -> None:
        """Carry out what a rig's pairer decided, and whatever else is due."""
        self._decide(rig, outcomes)
        self.pump()

    def pump(self) -> None:
        """Do what is due now, and come back when the next thing is."""
        now = self._clock.now()
        for rig in self._looks.due(now):
            self._release(rig, now)
        for dropped in self._batcher.expire(now):
            self._drop_job(dropped.job, dropped.reason, "it grew too old in the queue")
            self._settle_superseded(dropped.job.rig)
        while jobs := self._batcher.take(now, *self._free()):
            self._start(jobs)
        self._metrics.queue_pairs.set(len(self._batcher))
        self._metrics.queue_age.set(self._batcher.age(now))
        self._come_back(now)

    async def finish(self, patience: float) -> bool:
        """Decode what waits, then stop the decoder's thread. What arrives later is dropped.

        patience  how long the decoder may take, seconds
        returns   whether it was done in time; otherwise its thread is left behind
        """
        for rig in self._rigs:
            for outcome in rig.pairer.flush():
                self._enqueue(Job((outcome.frame,), self._clock.now(), deferred=True))  # after the pairs that wait
        self.pump()
        self._closed = True
        give_up_at = time.monotonic() + patience
        while self._decoding and (left := give_up_at - time.monotonic()) > 0.0:
            await asyncio.wait(self._decoding, timeout=left)
        if self._timer is not None:
            self._timer.cancel()
        done = not self._decoding
        if not done:
            lost = len(self._batcher) + sum(jobs for _, jobs in self._decoding.values())
            log.error("the decoder did not finish within %.1f s; %d instants are lost", patience, lost)
        await self._publisher.close()
        self._threads.shutdown(wait=done, cancel_futures=True)
        return done

    def _decide(self, rig: Rig, outcomes: Iterable[Outcome[Frame]]) -> None:
        for outcome in outcomes:
            match outcome:
                case Paired(left, right):
                    self._enqueue(Job((left, right), self._clock.now()))
                case Single(frame, awaited):
                    self._enqueue(Job((frame,), self._clock.now(), deferred=awaited))
                case DroppedLate(frame):
                    self._take_late(rig, frame)
                case Repeated(frame, newest):
                    detail = f"sequence {frame.sequence} is not above {newest}, the newest of this camera; count up"
                    self.answers.reject(frame, "sequence", detail)
        self._looks.plan(rig, rig.pairer.deadline)

    def _take_late(self, rig: Rig, frame: Frame) -> None:
        """Let a frame that came late join its partner, if that still waits for the decoder; else drop it.

        So a busy decoder spends nothing on a lone view whose partner was merely late.
        """
        job = self._batcher.newest(rig.name)
        if job is not None and (whole := job.completed_by(frame, rig.pairer.tolerance)) is not None:
            self._make_room(self._batcher.replace_newest(whole))
            return
        if abs(rig.given_up_at - frame.captured_at) <= rig.pairer.tolerance:
            detail = "its partner came long before it, and was dropped: the decoder has too much to do"
            self.answers.drop(frame, "overload", detail)
            return
        self._metrics.pairs.labels(rig.name, "late").inc()
        self.answers.drop(frame, "late", f"its instant was shown already, without it; {rig.explain_skew()}")

    def _release(self, rig: Rig, now: float) -> None:
        """Decode alone what has waited for its partner long enough."""
        try:
            self._decide(rig, rig.pairer.expire(now))
        except Exception:  # one rig must hold up no other
            log.exception("rig %s: its frames could not be released", rig.name)
            self._looks.plan(rig, now + _AGAIN)

    def _come_back(self, now: float) -> None:
        """Set the timer to the next deadline."""
        due = min(
            self._looks.next_at,
            self._batcher.deadline(*self._free()),
            self._batcher.next_expiry,
        )
        if self._timer is not None:
            self._timer.cancel()
        delay = max(0.0, due - now)
        self._timer = asyncio.get_running_loop().call_later(delay, self.pump) if due < math.inf else None

    def _enqueue(self, job: Job) -> None:
        if self._closed:
            self._drop_job(job, "overload", "the center is shutting down")
            return
        self._make_room(self._batcher.push(job))

    def _make_room(self, outdone: Iterable[Dropped[Job]]) -> None:
        """Drop jobs for newer ones. They are answered when the one that stands in their turn leaves; where none does,
        and of a deferred one, which may stay for as long as the decoder is busy, at once."""
        for dropped in outdone:
            job = dropped.job
            self._superseded[job.rig].extend(job.frames)
            if job.deferred and (rig := self._rigs.get(job.rig)) is not None:
                rig.given_up_at = job.frames[0].captured_at
            if job.deferred or not self._batcher.has_turn(job.rig):
                self._settle_superseded(job.rig)

    def _settle_superseded(self, rig: str) -> None:
        """Answer the frames that made room for the one that leaves now."""
        for frame in self._superseded.pop(rig, ()):
            self.answers.drop(frame, "overload", "the decoder has too much to do; send fewer frames a second")

    def _drop_job(self, job: Job, reason: Reason, detail: str) -> None:
        for frame in job.frames:
            self.answers.drop(frame, reason, detail)

    def _start(self, jobs: Sequence[Job]) -> None:
        """Hand a batch to the decoder's thread, and give its cameras their credit back."""
        assert self.engine is not None, "frames came before the decoder was warm"
        self._metrics.batch_pairs.observe(len(jobs))
        for job in jobs:
            self._settle_superseded(job.rig)
            for frame in job.frames:
                self.answers.accept(frame)
        size = jobs[0].size
        started = self._forecast.start((len(jobs), size), self._clock.now(), base.places(self.engine, size))
        number = next(self._numbers)
        task = asyncio.create_task(self._decode(self.engine, jobs, number, started), name="decode")
        self._decoding[task] = (number, len(jobs))

    def _free(self) -> tuple[int, float]:
        """Whether the engine has room for the batch that is next in turn, see `Forecast.free`. One that needs all of it
        holds up those behind it: a small one in the place beside another would come in before it again and again."""
        engine, size = self._engine, self._batcher.next_size
        return self._forecast.free(base.places(engine, size), base.in_flight(engine))

    async def _decode(self, engine: Engine, jobs: Sequence[Job], number: int, started: Started) -> None:
        loop = asyncio.get_running_loop()
        try:
            began, ended, decoded = await loop.run_in_executor(self._threads, self._timed, engine, jobs)
        except Exception as error:  # an engine may raise anything; one bad batch must not end the live path
            self._forecast.give_up(started)
            self.failures.add(error, len(jobs), self._clock.now())
            reason = "replica" if isinstance(error, BatchLost) else "decoder"
            self.answers.fail((frame for job in jobs for frame in job.frames), reason)
        else:
            self.failures.end_row()
            late = latest_show(self._forecast.usual(started))  # by batches before: this one may have stood still
            self._forecast.end(started, began, ended)
            self.on_decoded(jobs, decoded, began, ended)
            for job, views in zip(jobs, decoded, strict=True):
                self._show(job, views, began, ended, number, late)
        finally:
            if (task := asyncio.current_task()) is not None:
                self._decoding.pop(task, None)
            oldest = min((each for each, _ in self._decoding.values()), default=math.inf)
            self._shown = {rig: newest for rig, newest in self._shown.items() if newest > oldest}
        self.pump()

    def _show(self, job: Job, views: tuple[Decoded, ...], began: float, ended: float, number: int, late: float) -> None:
        if number < self._shown.get(job.rig, -1):  # batches in flight side by side may overtake one another
            self._metrics.pairs.labels(job.rig, "late").inc()
            for frame in job.frames:
                self.answers.count_drop(job.rig, frame.view, "dropped", "late")
            return
        self._shown[job.rig] = number
        shown = True
        try:
            shown = self._publisher.publish(job, views, began, ended, late)
        except Exception:  # the next batch is to start, whatever becomes of this one
            log.exception("rig %s: a decoded pair could not be shown", job.rig)
        for frame in job.frames:
            if shown:
                self._metrics.frames.labels(job.rig, frame.view, "accepted").inc()
            else:
                self.answers.count_drop(job.rig, frame.view, "dropped", "late")

    def _timed(self, engine: Engine, jobs: Sequence[Job]) -> tuple[float, float, list[tuple[Decoded, ...]]]:
        """In a thread of the decoder: when it began and ended, Unix seconds, and the pictures. What waits for others in
        the engine has not begun."""
        began = [self._clock.now()]
        decoded = decode(engine, jobs, lambda: began.append(self._clock.now()))
        return began[-1], self._clock.now(), decoded
