"""Shows a replay on the center's page, at its own pace; the page can change nothing."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from center.decode.jobs import Decoded
from center.output.broadcast import PairBroadcaster
from center.output.quality import FrameKey
from center.output.results import DecodedPair, ViewResult
from center.record.kept import Kept
from center.record.replay import Replay, ReplayedFigures, ReplayedPair
from center.web.app import Page
from wire.runtime.metrics import own_registry
from wire.v1 import pair_service_pb2 as pair_pb2
from wire.v1 import recording_pb2

LOOPBACK: Final = "127.0.0.1"
_NANO: Final = 1_000_000_000
_KEPT: Final = 64
_KEPT_BYTES: Final = 128 << 20
Event = ReplayedPair | ReplayedFigures


class Show:
    """The page of a replay, on loopback only and without links to change.

    speed  1 is the pace of the recording, 2 twice as fast
    """

    def __init__(self, replay: Replay, port: int, speed: float, source: str) -> None:
        self.broadcaster = PairBroadcaster()
        self._replay, self._speed, self._source = replay, speed, source
        self._shown: Kept[FrameKey, DecodedPair] = Kept(_KEPT, _KEPT_BYTES)
        self._ended = False
        self.page = Page(LOOPBACK, port, self.broadcaster, own_registry(), "", self.status)

    def status(self) -> dict[str, Any]:
        """What the page asks for."""
        session, engine, tally = self._replay.session, self._replay.engine, self._replay.tally
        return {
            "ready": engine is not None,
            "why": "" if engine is not None else "reading the recording",
            "codec": session.codec if session else "",
            "codec_hash": engine.codec_hash if engine else "",
            "engine": engine.name if engine else "",
            "replay": {
                "of": self._source,
                "speed": self._speed,
                "ended": self._ended,
                "pairs": tally.pairs,
                "views": {"equal": tally.equal, "different": tally.different},
            },
        }

    async def play(self, events: Iterator[Event]) -> None:
        """Publish each pair when it is due; late ones at once. Ends with the recording.

        raises  UserError if the recording cannot be decoded
        """
        began: float | None = None
        first = 0
        async for event in _in_thread(events):
            if isinstance(event, ReplayedFigures):
                self._publish_figures(event)
                continue
            now = time.monotonic()
            if began is None:
                began, first = now, event.recorded.decoded_at_ns
            due = began + (event.recorded.decoded_at_ns - first) / _NANO / self._speed
            # A clock that was set while it recorded must not stop the show.
            await asyncio.sleep(min(max(0.0, due - now), 5.0))
            if due - now > 5.0 or now - due > 5.0:
                began, first = time.monotonic(), event.recorded.decoded_at_ns
            self._publish(event)
        self._ended = True

    def _publish(self, event: ReplayedPair) -> None:
        pair = to_pair(event, time.time_ns())
        for view in event.views:
            self._shown.put(view.frame.key, pair)
        self.broadcaster.publish(pair)

    def _publish_figures(self, event: ReplayedFigures) -> None:
        pair = self._shown.get(event.key)
        if pair is None:
            return
        figures = event.figures
        measured = pair.with_figures(event.key.view, figures.psnr_db, figures.ms_ssim, event.reference)
        for key, of in self._shown:
            if of is pair:
                self._shown.put(key, measured)
        self.broadcaster.publish(measured)


def to_pair(event: ReplayedPair, shown_at_ns: int) -> DecodedPair:
    """A replayed pair as if it had been decoded at `shown_at_ns`, Unix nanoseconds: ages and latencies stay true."""
    recorded = event.recorded
    shift = shown_at_ns - recorded.decoded_at_ns
    views = tuple(
        _result(view, frame, recorded.decoded_at_ns) for view, frame in zip(event.views, recorded.frames, strict=True)
    )
    return DecodedPair(
        rig=recorded.rig,
        captured_at_ns=recorded.captured_at_ns + shift,
        decoded_at_ns=shown_at_ns,
        single=recorded.pairing == pair_pb2.PAIRING_SINGLE,
        views=views,
    )


def _result(decoded: Decoded, recorded: recording_pb2.RecordedFrame, decoded_at_ns: int) -> ViewResult:
    """With the times of the recording. Waiting for the other view and for the decoder are one there: "batch"."""
    frame, decoding = decoded.frame, recorded.decode_microseconds * 1e-6
    network = (recorded.arrived_at_ns - recorded.captured_at_ns) / _NANO - sum(frame.stages.values())
    waiting = (decoded_at_ns - recorded.arrived_at_ns) / _NANO - decoding
    stages = {**frame.stages, "network": max(0.0, network), "batch": max(0.0, waiting), "decode": decoding}
    latency = (decoded_at_ns - recorded.captured_at_ns) / _NANO
    return ViewResult(frame.view, frame.sequence, frame.snr_db, decoded.picture, latency, stages)


async def _in_thread(events: Iterator[Event]) -> AsyncIterator[Event]:
    """The events, made one by one off the event loop."""
    end = object()
    while (event := await asyncio.to_thread(next, events, end)) is not end:
        assert isinstance(event, ReplayedPair | ReplayedFigures)
        yield event
