"""Decoded pairs out: figures counted, stale ones held back, the rest to whoever watches."""

import asyncio
import logging
import math
from typing import Final

from center.decode.jobs import Decoded, Job
from center.decode.view_order import count_tiles
from center.ingest.rig import Rig
from center.ingest.rigs import Rigs
from center.metrics import Metrics
from center.output.broadcast import PairBroadcaster
from center.output.quality_monitor import QualityMonitor
from center.output.results import DecodedPair, ViewResult
from center.steady_clock import SteadyClock

log = logging.getLogger(__name__)

LATEST_SHOW: Final = 1.0
"""Seconds beyond its age budget after which a decoded pair is no longer shown: this process, or the machine, stood
still while it was being decoded."""

_USUAL_TIMES: Final = 2.0
"""And so many times what the decoder takes for such a batch where that is more: it may work for seconds on a large
picture, which is old then, and all that this machine can show."""

_LOOK_EVERY: Final = 0.25
"""Seconds from one look at the order of the views to the next, over all rigs: 3 ms of a core each."""


def latest_show(usual: float | None) -> float:
    """How long beyond its age budget a pair may be shown, seconds.

    usual  what the decoder takes for a batch such as the pair's, seconds; None if that is not known
    """
    return max(LATEST_SHOW, _USUAL_TIMES * (usual or 0.0))


class Publisher:
    """Makes results of decoded jobs and shows them. All methods belong to the event loop's thread."""

    def __init__(
        self, rigs: Rigs, broadcaster: PairBroadcaster, quality: QualityMonitor, metrics: Metrics, clock: SteadyClock
    ) -> None:
        self._rigs, self._broadcaster, self._quality, self._metrics, self._clock = (
            rigs,
            broadcaster,
            quality,
            metrics,
            clock,
        )
        self._look: asyncio.Task[None] | None = None
        self._looked_at = -math.inf

    def publish(
        self, job: Job, decoded: tuple[Decoded, ...], began: float, ended: float, late: float = LATEST_SHOW
    ) -> bool:
        """Show a decoded job.

        decoded       one or two views, left first
        began, ended  of the decoder, seconds on the clock
        late          how long beyond its age budget it may be shown, seconds
        returns       whether it was still young enough to be shown
        """
        if self._clock.now() >= job.expires_at + late:
            self._metrics.pairs.labels(job.rig, "late").inc()
            return False
        results = tuple(_result(job, each, began, ended) for each in decoded)
        for result in results:
            self._metrics.stages(job.rig, result.view, result.stages, result.latency)
        outcome = "paired" if len(results) == 2 else "single"
        self._metrics.pairs.labels(job.rig, outcome).inc()
        if len(job.frames) == 2:
            distance = abs(job.frames[0].captured_at - job.frames[1].captured_at)
            self._metrics.pair_distance.labels(job.rig).observe(distance)
        if (rig := self._rigs.get(job.rig)) is not None:
            rig.decoded[outcome] += 1
            self._look_at_order(rig, results)
        captured_at = min(frame.captured_at for frame in job.frames)
        pair = DecodedPair(
            job.rig,
            self._clock.unix_ns(captured_at),
            self._clock.unix_ns(ended),
            single=outcome == "single",
            views=results,
        )
        self._broadcaster.publish(pair)
        self._quality.decoded(pair, decoded, ended)
        return True

    async def close(self) -> None:
        """Finish what is under way."""
        if self._look is not None:
            await asyncio.gather(self._look, return_exceptions=True)

    def _look_at_order(self, rig: Rig, views: tuple[ViewResult, ...]) -> None:
        """Now and then, see whether left is left."""
        now = self._clock.now()
        busy = self._look is not None and not self._look.done()
        if len(views) == 2 and not busy and now >= max(self._looked_at + _LOOK_EVERY, rig.view_order.look_at):
            self._looked_at = now
            self._look = asyncio.create_task(self._see_order(rig, views, now), name="view order")

    async def _see_order(self, rig: Rig, views: tuple[ViewResult, ...], now: float) -> None:
        order = rig.view_order  # a rig that connects anew gets another one
        try:
            tiles = await asyncio.to_thread(count_tiles, views[0].picture, views[1].picture)
        except Exception:  # a look that fails must not end the live path
            log.exception("rig %s: the order of the views could not be seen", rig.name)
        else:
            order.vote(*tiles, now)


def _result(job: Job, decoded: Decoded, began: float, ended: float) -> ViewResult:
    """One view's result with the time of every stage, seconds."""
    frame = decoded.frame
    stages = {
        **frame.stages,
        "network": max(0.0, frame.arrived_at - frame.captured_at - sum(frame.stages.values())),
        "pair": job.queued_at - frame.arrived_at,
        "batch": began - job.queued_at,
        "decode": ended - began,
    }
    latency = ended - frame.captured_at
    return ViewResult(frame.view, frame.sequence, frame.snr_db, decoded.picture, latency, stages)
