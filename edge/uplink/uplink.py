"""Keeps a stream to the link alive: connects, and comes back after whatever ended the last one."""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import grpc
from grpc import aio

from edge.config import EdgeConfig
from edge.encode.frames import FrameEncoder
from edge.metrics import Metrics
from edge.uplink.clock import ClockOffset
from edge.uplink.credit import CreditWindow
from edge.uplink.session import NewestFrame, Progress, Session, Silence
from wire.geometry import DEFAULT_SIZE, PictureSize
from wire.runtime import grpc_kit
from wire.runtime.log_throttle import OnChange, Throttle
from wire.runtime.retry import Backoff
from wire.security.certificates import why_no_connection
from wire.security.keyring import NO_KEYS, Keyring
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.v1.symbol_link_service_pb2_grpc import SymbolLinkServiceStub

_log = logging.getLogger("edge")

PATIENCE_SECONDS: Final = 3.0
LONGEST_LEAVE_SECONDS: Final = 30.0
REFUSED_FIRST, REFUSED_CAP = 2.0, 20.0
"""In units of `link.backoff_cap_s`: after a refusal the wait is drawn up to the first, doubled with each, up to the
second. A person has to mend it, so a fleet of refused edges must not knock twice a second, nor in step."""
_REFUSALS: Final = frozenset(
    {
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
"""Statuses that trying harder does not mend: a person has to."""


@dataclass(frozen=True, slots=True)
class LinkEnd:
    """How a stream ended, and when to try the next one.

    reason  for counters
    line    for a person
    wait    seconds before the next try
    fresh   whether that needs a new connection: this one may be dead without knowing it
    """

    reason: str
    line: str
    wait: float
    fresh: bool = False


class Uplink:
    """The edge's side of SymbolLinkService. All of it runs on one event loop."""

    def __init__(
        self,
        config: EdgeConfig,
        boot_id: int,
        frames: NewestFrame,
        encoder: FrameEncoder,
        metrics: Metrics,
        keys: Keyring = NO_KEYS,
        *,
        patience: float = PATIENCE_SECONDS,
        loop_s: Callable[[], float] = lambda: 0.0,
        size: Callable[[], PictureSize | None] = lambda: DEFAULT_SIZE,
    ) -> None:
        """The edge's end of the link; nothing connects yet.

        boot_id   random number of this start
        keys      what we show, and whom we believe
        patience  seconds of silence after which a link counts as dead
        loop_s    gives the seconds after which the camera's clip starts over, 0 for never
        size      gives the size of its pictures, which is known before `run`
        """
        self._config, self._boot_id, self._frames, self._encoder = config, boot_id, frames, encoder
        self._metrics, self._patience, self._loop_s, self._size = metrics, patience, loop_s, size
        self._connection = grpc_kit.Connection(config.link.address, keys)
        self._window = CreditWindow(config.link.credit)
        self._progress = Progress(config.link.assumed_snr_db)
        self._rng = random.Random()
        self._backoff = Backoff(config.link.backoff_first_s, config.link.backoff_cap_s, self._rng)
        cap = config.link.backoff_cap_s
        self._refused = Backoff(REFUSED_FIRST * cap, REFUSED_CAP * cap, self._rng)
        self._clock, self._throttle, self._said = ClockOffset(), Throttle(_log), OnChange(_log)
        self._session: Session | None = None
        self._refusal: str | None = None
        self._connected = False
        self._stood = False
        self._left = asyncio.Event()
        metrics.snr(self._progress.snr_db)

    @property
    def held_up_by(self) -> str:
        """Why a captured frame has to wait at this moment: offline, credit or encoder. May be read in any thread."""
        if not self._connected:
            return "offline"
        return "encoder" if self._window.open else "credit"

    def wake(self) -> None:
        """There is a new captured frame."""
        if self._session is not None:
            self._session.wake()

    def leave(self) -> None:
        """Drain: send nothing more, end the stream, and do not come back."""
        self._left.set()
        if self._session is not None:
            self._session.leave()

    async def run(self) -> None:
        """Stream until `leave()`; no failure of the other side ends it."""
        try:
            while not self._left.is_set():
                end = await self._stream(self._connection.channel())
                self._metrics.link_down(end.reason)
                if end.fresh:
                    await self._connection.close()
                await self._sleep(end.wait)
        finally:
            await self._connection.close()

    async def _stream(self, channel: aio.Channel) -> LinkEnd:
        """One stream, from its beginning to its end."""
        call = SymbolLinkServiceStub(channel).Transmit(
            metadata=self._connection.keys.metadata(("x-rig-id", self._config.rig))
        )
        session = self._session = Session(
            call,
            frames=self._frames,
            encoder=self._encoder,
            window=self._window,
            progress=self._progress,
            metrics=self._metrics,
            throttle=self._throttle,
            patience=self._patience,
        )
        try:
            await session.handshake(self._hello(), self._clock)
            self._stands()
            if self._left.is_set():
                session.leave()
            await session.run()
            end = self._ended(session)
        except aio.AioRpcError as error:
            end = self._broken(error)
        except (Silence, grpc_kit.CutOff) as silence:
            end = LinkEnd(
                "silent", f"{self._config.link.address}: {silence}; connecting anew", self._backoff.next(), True
            )
        except Exception as error:  # a daemon outlives its own mistakes, and says so
            _log.exception("the link broke in an unexpected way")
            end = LinkEnd(
                "error", f"{self._config.link.address}: {error!r}; connecting anew", self._backoff.next(), True
            )
        finally:
            self._session, self._connected = None, False
            call.cancel()
            self._metrics.unanswered(self._window.close())
            self._metrics.credit(0, 0)
        self._refusal = end.line if end.reason == "refused" else None
        level = logging.INFO if end.reason in ("left", "drain") else logging.WARNING
        self._said.log(level, f"{end.reason} {end.line}", end.line)
        return end

    def _hello(self) -> link_pb2.Hello:
        size = self._size() or DEFAULT_SIZE
        return link_pb2.Hello(
            rig=self._config.rig,
            view=self._config.view.to_proto(),
            codec_hash=self._encoder.codec_hash,
            boot_id=self._boot_id,
            last_acknowledged=self._progress.last_acknowledged,
            frame_rate=self._config.camera.fps,
            loop_ms=round(self._loop_s() * 1e3),
            height=size.rows,
            width=size.columns,
        )

    def _stands(self) -> None:
        self._connected = True
        self._backoff.reset()
        self._refused.reset()
        self._refusal = None
        self._metrics.link_up(again=self._stood)
        self._stood = True
        address, rig, view = self._config.link.address, self._config.rig, self._config.view
        line = f"{rig}/{view}: connected to {address}, credit {self._window.size}"
        if self._window.size:
            self._said.log(logging.INFO, "connected", line)
        else:
            self._said.log(logging.WARNING, "no credit", f"{line}: it lets nothing be sent; look at its configuration")

    def _ended(self, session: Session) -> LinkEnd:
        """After an end in good order."""
        address = self._config.link.address
        if session.drain is not None:
            # A fleet that was told the same time must not come back in one moment.
            asked = min(session.drain.reconnect_after_ms / 1000, LONGEST_LEAVE_SECONDS)
            several = grpc_kit.stands_for_several(address)
            if several:
                asked = 0.0  # another one takes us
            wait = asked * self._rng.uniform(1.0, 1.5) + self._backoff.next()
            reason = session.drain.reason or "no reason given"
            # Over a new connection where there may be others by now: one that stands does not ask the name again.
            return LinkEnd("drain", f"{address} is going away ({reason}); back in {asked:g} s", wait, fresh=several)
        if self._left.is_set():
            return LinkEnd("left", f"{self._config.rig}/{self._config.view}: disconnected from {address}", 0.0)
        return LinkEnd("closed", f"{address} ended the stream; connecting again", self._backoff.next())

    def _broken(self, error: aio.AioRpcError) -> LinkEnd:
        """After a status that is not OK."""
        address, line = self._config.link.address, error.details() or error.code().name
        refusal = f"{address} refuses this edge: {line}" if error.code() in _REFUSALS else None
        if line in (grpc_kit.STATUS_LOST, grpc_kit.STATUS_LOST_BEYOND):
            refusal = self._refusal  # lost on the way to a door that has just refused us: that refusal
        if refusal is not None:
            return LinkEnd("refused", refusal, self._refused.next())
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            if meant := why_no_connection(line):
                line = meant
            elif "failed to connect" in line:
                line = "nobody answers; look whether the service runs there"
            elif line.startswith(("Stream removed", "recvmsg", "Socket closed")):
                line = "the connection broke"
        elif line == grpc_kit.STATUS_LOST:
            line = "it ended the stream while a frame was being sent; its log says why"
        return LinkEnd("unavailable", f"{address}: {line}; trying again", self._backoff.next())

    async def _sleep(self, seconds: float) -> None:
        """Wait, but not once we are to leave."""
        try:
            async with asyncio.timeout(seconds):
                await self._left.wait()
        except TimeoutError:
            pass
