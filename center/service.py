"""Puts the center together, starts it in the right order and stops it by draining."""

import asyncio
import logging
import math
import os
import time
from typing import TYPE_CHECKING, Any, Final

import prometheus_client

from center.config import CenterConfig
from center.decode import batch_size, engines
from center.decode.jobs import knows_sizes
from center.decode.pipeline import Pipeline
from center.ingest.ingest import FrameIngest
from center.ingest.link_servicer import SymbolLinkServicer
from center.ingest.reunion import REASON
from center.ingest.rigs import Rigs
from center.metrics import Metrics
from center.output.broadcast import PairBroadcaster
from center.output.quality_monitor import QualityMonitor
from center.output.watch_servicer import PairServicer, ReferenceServicer
from center.steady_clock import SteadyClock
from center.web.app import Page
from center.web.connections import Limits
from wire.runtime.errors import UserError
from wire.runtime.grpc_kit import Server
from wire.runtime.metrics import follow_expiry
from wire.runtime.periodic import repeat
from wire.runtime.service import EXIT_PROBLEM
from wire.security.https import HttpsCertificate
from wire.security.keyring import Keyring
from wire.v1 import pair_service_pb2_grpc, reference_service_pb2_grpc, symbol_link_service_pb2_grpc

if TYPE_CHECKING:
    from center.record.recorder import Recorder

log = logging.getLogger(__name__)

SERVICES: Final = (
    "vergence.v1.SymbolLinkService",
    "vergence.v1.PairService",
    "vergence.v1.ReferenceService",
)
_LAST_GRACE: Final = 0.5
_DISK_GRACE: Final = 2.0
"""Seconds that the disk may take for what is still to be recorded."""


class Center:
    """Everything that one center is made of. engine: what decodes; None loads what the configuration names.

    raises UserError if a file of `security` is wrong
    """

    def __init__(self, config: CenterConfig, engine: engines.Engine | None = None) -> None:
        self._config, self._engine = config, engine
        keys = Keyring(config.security)
        self.broadcaster, self.metrics = PairBroadcaster(config.links.max_rigs), Metrics()
        self._quality = QualityMonitor(config.quality, self.broadcaster, self.metrics)
        self.clock = SteadyClock()
        pairing = config.pairing
        self.rigs = Rigs(
            None if pairing.tolerance_ms is None else pairing.tolerance_ms / 1e3,
            pairing.patience_ms / 1e3,
            pairing.silence_ms / 1e3,
            config.links.max_rigs,
            config.links.reunite_s,
        )
        self._pipeline = Pipeline(config.batching, self.rigs, self.broadcaster, self._quality, self.metrics, self.clock)
        self._ingest = FrameIngest(config.links, self.rigs, self._pipeline, self.metrics, self.clock)
        certificate = HttpsCertificate(config.page, "page") if config.page.certificate else None
        self.page = Page(
            config.page.host,
            config.page.port,
            self.broadcaster,
            self.metrics.registry,
            config.emulator,
            self.status,
            config.page.hosts,
            Limits(config.page.max_connections, config.page.max_connections_per_client),
            keys,
            self.metrics.call_refused,
            certificate,
        )
        ends = [keys.expires_at] if certificate is None else [keys.expires_at, certificate.expires_at]
        follow_expiry(self.metrics.expiry, *ends)
        self.server = Server(config.listen, keys, self.metrics.call_refused, config.links.largest_size)
        self.port = 0
        self._sweeper: asyncio.Task[None] | None = None
        self._swept_at = -math.inf
        self._recorder: Recorder | None = None
        self.broken = asyncio.Event()
        """Set when the decoder fails on whatever it gets: only a new process helps."""

    async def start(self) -> None:
        """Listen, then warm the decoder, then say that we are ready.

        raises  UserError if a port is taken or the codec cannot be loaded
        """
        await self.page.start()
        links = SymbolLinkServicer(self._ingest, self._config.links, self.metrics)
        symbol_link_service_pb2_grpc.add_SymbolLinkServiceServicer_to_server(links, self.server.grpc)
        pair_service_pb2_grpc.add_PairServiceServicer_to_server(PairServicer(self.broadcaster), self.server.grpc)
        reference_service_pb2_grpc.add_ReferenceServiceServicer_to_server(
            ReferenceServicer(self._quality, self.rigs, self.clock), self.server.grpc
        )
        self.port = await self.server.start(SERVICES)
        began = time.monotonic()
        engine, self._pipeline.max_size, self._ingest.any_size = await asyncio.to_thread(self._load)
        self._start_recorder(engine)
        self._pipeline.engine = engine  # from now on streams are taken
        self._sweeper = asyncio.create_task(
            repeat(self.sweep, 1.0, "sweep", self.metrics.background_failures.inc), name="sweep"
        )
        await self.server.ready()
        self.metrics.ready.set(1)
        log.info(
            "ready on port %d: codec %s (%s), %s, batches of %d, warm after %.1f s",
            self.port,
            self._config.codec,
            engine.codec_hash,
            engine.name,
            self._pipeline.max_size,
            time.monotonic() - began,
        )

    async def stop(self) -> bool:
        """Drain: tell the cameras, decode what is here, end the watchers, close.

        returns  whether the decoder was done within `drain_s`; otherwise its thread is left behind
        """
        self.metrics.ready.set(0)
        await self.server.leave()
        await self._ingest.drain(self._config.drain_s)
        done = await self._pipeline.finish(max(self._config.drain_s, _LAST_GRACE))
        await self._quality.close()
        self.broadcaster.close()
        if self._recorder is not None:
            await asyncio.to_thread(self._recorder.close, _DISK_GRACE)
        if self._sweeper is not None:
            self._sweeper.cancel()
        await self.server.stop(_LAST_GRACE)
        await self.page.stop()
        log.info("stopped")
        return done

    def status(self) -> dict[str, Any]:
        """What the page and its API tell."""
        engine, now = self._pipeline.engine, self.clock.now()
        why = "draining" if self._ingest.draining else "loading the decoder" if engine is None else ""
        return {
            "ready": not why,
            "why": why,
            "codec": self._config.codec,
            "codec_hash": engine.codec_hash if engine else "",
            "engine": engine.name if engine else "",
            "batch": self._pipeline.max_size,
            "queue": self._pipeline.queued,
            "live_rigs": [rig.status(now) for rig in self.rigs],
            "recording": self._recorder.status() if self._recorder else {"state": "off"},
        }

    def _load(self) -> tuple[engines.Engine, int, bool]:
        """The warm decoder, how many pairs its batches hold, and whether it knows other sizes than 128x256."""
        section = self._config.engine
        engine = self._engine or engines.load(
            self._config.codec, section.kind, section.device, section.threads, section.address
        )
        most = self._config.batching.max_size
        if most is None:
            engines.warm_up(engine, 1)
            most = batch_size.learn(engine)
        engines.warm_up(engine, most)
        return engine, most, knows_sizes(engine)

    def _start_recorder(self, engine: engines.Engine) -> None:
        """raises UserError if the folder cannot be used or the extra is not installed"""
        if not self._config.record.folder:
            return
        try:
            from center.record import messages, recorder
        except ModuleNotFoundError as error:
            raise UserError(
                f"record.folder is set, but {error.name} is not installed; in a checkout of vergence:"
                " pip install '.[record]'"
            ) from error
        session = messages.session(self._config.codec, engine, self._config.engine.threads)
        made = recorder.Recorder(self._config.record, session, self.metrics, step=lambda: self.clock.step)
        made.start()
        self._recorder = made
        self._pipeline.on_decoded, self._quality.on_measured = made.decoded, made.measured

    def sweep(self) -> None:
        """Forget who and what went away, and look at those that are here; done once a second."""
        now, idle = self.clock.now(), self._config.links.evict_s
        if self._pipeline.broken and not self.broken.is_set():
            log.error("the decoder fails on every batch: the center ends, so that a new one may be started")
            self.broken.set()
        self._quality.expire(now)
        since, self._swept_at = self._swept_at, now
        for rig in self.rigs:
            if not rig.heard_since(since):
                continue  # nothing new is known of it; thousands that stand by cost nothing
            if (lone := rig.to_reunite(now)) is not None:
                log.info("rig %s: its %s view has been alone for long; it is asked to come again", rig.name, lone.view)
                lone.drain(REASON, 0)
            for reason, holds in rig.check_agreement().items():
                self.metrics.disagreement.labels(rig.name, reason).set(holds)
        for name in self.rigs.evict(now, idle):
            self.broadcaster.forget(name)
            self.metrics.forget(name)
            log.info("rig %s is forgotten after %.0f s without a camera", name, idle)


async def run(config: CenterConfig, stop: asyncio.Event) -> None:
    """Work until `stop` is set, then drain. raises UserError if it cannot start, or cannot go on"""
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
    center = Center(config)
    try:
        await center.start()
        await _either(stop, center.broken)
        log.info("draining")
    finally:
        done = await center.stop()
    if not done:  # a decoder that hangs would hold the process for ever
        logging.shutdown()
        os._exit(EXIT_PROBLEM)
    if center.broken.is_set():
        raise UserError("the decoder failed on every batch; its error is in the log, try another engine.kind")


async def _either(*events: asyncio.Event) -> None:
    """Return as soon as one of them is set."""
    waiting = [asyncio.create_task(each.wait()) for each in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
