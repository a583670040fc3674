"""Measures referenced reconstructions beside the live path, and shows their pair again with the figures."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from center.config import QualitySection
from center.decode.jobs import Decoded
from center.metrics import Metrics
from center.output.broadcast import PairBroadcaster
from center.output.quality import Figures, FrameKey, Matcher, measure
from center.output.results import DecodedPair
from wire.views import View

log = logging.getLogger(__name__)

MOST_PENDING: Final = 4
"""Measurements that wait for their thread at most; more are skipped, so that a slow machine stays live."""


@dataclass(frozen=True, slots=True, eq=False)
class _Subject:
    """A reconstruction to be measured. exact: float32 [3, rows, columns] in [0, 1]."""

    pair: DecodedPair
    key: FrameKey
    exact: NDArray[np.float32]

    @property
    def nbytes(self) -> int:
        """What it keeps in memory, with the pictures of its pair."""
        return self.exact.nbytes + self.pair.nbytes

    @property
    def view(self) -> View:
        return self.key.view


class QualityMonitor:
    """Meets references with reconstructions. Belongs to the event loop; the sums are done in one thread.

    on_measured  told of a pair with new figures, and of which frames; must neither wait nor raise
    """

    def __init__(self, section: QualitySection, broadcaster: PairBroadcaster, metrics: Metrics) -> None:
        self.on_measured: Callable[[DecodedPair, Sequence[FrameKey]], None] = lambda *_: None
        self._wanted = section.metric
        self._broadcaster, self._metrics = broadcaster, metrics
        self._matcher: Matcher[NDArray[np.uint8], _Subject] = Matcher(
            section.keep, section.max_age_s, section.max_bytes
        )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="quality")
        self._tasks: set[asyncio.Task[None]] = set()

    def reference(self, key: FrameKey, picture: NDArray[np.uint8], now: float) -> None:
        """An untouched picture came, uint8 [rows, columns, 3]."""
        if self._wanted == "off":
            return
        self._count("received")
        subject = self._matcher.reference(key, picture, now, picture.nbytes)
        if subject is not None and self._fits(subject, picture):
            self._start([(subject, picture)])

    def decoded(self, pair: DecodedPair, views: Sequence[Decoded], now: float) -> None:
        """A pair was decoded; its referenced frames are measured now or when their references come."""
        if self._wanted == "off":
            return
        ready = []
        for each in views:
            if each.frame.referenced:
                subject = _Subject(pair, each.frame.key, each.exact)
                reference = self._matcher.reconstruction(each.frame.key, subject, now, subject.nbytes)
                if reference is not None and self._fits(subject, reference):
                    ready.append((subject, reference))
        if ready:
            self._start(ready)

    def expire(self, now: float) -> None:
        """Forget what found no partner."""
        self._count("expired", self._matcher.expire(now))

    async def close(self) -> None:
        """Finish what is under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._thread.shutdown()

    def _fits(self, subject: _Subject, reference: NDArray[np.uint8]) -> bool:
        """A camera that came again with another size may have sent the reference of a frame that it sends only now."""
        fits = subject.exact.shape[1:] == reference.shape[:2]
        if not fits:
            self._count("failed")
        return fits

    def _start(self, found: list[tuple[_Subject, NDArray[np.uint8]]]) -> None:
        if len(self._tasks) >= MOST_PENDING:
            self._count("skipped", len(found))
            return
        task = asyncio.create_task(self._measure(found), name="measure")
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        """One measurement that fails ends nothing else."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a measurement failed", exc_info=error)
            self._count("failed")

    async def _measure(self, found: list[tuple[_Subject, NDArray[np.uint8]]]) -> None:
        """found: frames of one pair with their references."""
        loop = asyncio.get_running_loop()
        figures = await loop.run_in_executor(self._thread, self._figures, found)
        pair = found[0][0].pair
        newest = self._broadcaster.latest(pair.rig)
        if newest is not None and newest.moment == pair.moment:
            pair = newest  # it may hold figures of the other view by now
        for (subject, reference), each in zip(found, figures, strict=True):
            rig, view = subject.pair.rig, subject.view
            self._count("measured")
            self._metrics.psnr.labels(rig, view).observe(each.psnr_db)
            self._metrics.last_psnr.labels(rig, view).set(each.psnr_db)
            if each.ms_ssim is not None:
                self._metrics.ms_ssim.labels(rig, view).observe(each.ms_ssim)
            pair = pair.with_figures(view, each.psnr_db, each.ms_ssim, reference)
        self._broadcaster.publish(pair)
        self.on_measured(pair, [subject.key for subject, _ in found])

    def _figures(self, found: list[tuple[_Subject, NDArray[np.uint8]]]) -> list[Figures]:
        with_ms_ssim = self._wanted == "psnr+ms_ssim"
        return [measure(subject.exact, reference, with_ms_ssim) for subject, reference in found]

    def _count(self, outcome: str, amount: int = 1) -> None:
        self._metrics.references.labels(outcome).inc(amount)
