"""What Prometheus sees of the emulator: every metric is named here."""

import math
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from channel_emulator.links.link import Delivered, Link, Lost
from channel_emulator.relay.frames import FrameOutcome
from wire.runtime import metrics
from wire.security.tokens import Denial

_LINK: Final = ("rig", "view")
_PROCESSING: Final = (0.0001, 0.0002, 0.0003, 0.0005, 0.0007, *metrics.SECONDS)


class Metrics:
    """The emulator's metrics in a registry of their own; labels are rig, view, outcome and reason only."""

    def __init__(self) -> None:
        self.registry = registry = metrics.own_registry()
        self._frames = Counter(
            "vergence_emulator_frames_total",
            "Frames by what became of them: forwarded, lost or rejected. A forwarded frame with reason power"
            " was out of the power tolerance",
            (*_LINK, "outcome", "reason"),
            registry=registry,
        )
        self._symbols = Counter(
            "vergence_emulator_symbols_total", "Complex symbols forwarded", _LINK, registry=registry
        )
        self._received = Counter(
            "vergence_emulator_received_bytes_total", "Bytes of frames from the camera", _LINK, registry=registry
        )
        self._sent = Counter(
            "vergence_emulator_sent_bytes_total", "Bytes of frames to the center", _LINK, registry=registry
        )
        self._processing = Histogram(
            "vergence_emulator_processing_seconds",
            "Own time a frame, without the configured delay",
            _LINK,
            buckets=_PROCESSING,
            registry=registry,
        )
        self._snr = Gauge(
            "vergence_emulator_snr_decibels", "Configured mean Es/N0, now; +Inf is noiseless", _LINK, registry=registry
        )
        self._measured = Gauge(
            "vergence_emulator_measured_snr_decibels",
            "Measured Es/N0 of the last frame forwarded; swings with the fading",
            _LINK,
            registry=registry,
        )
        self._power = Gauge(
            "vergence_emulator_power_ratio",
            "Mean |s|^2 of the last frame forwarded, as the camera sent it",
            _LINK,
            registry=registry,
        )
        self.background_failures = Counter(
            "vergence_emulator_background_failures_total",
            "Background work that failed and is tried again; the log says which",
            registry=registry,
        )
        self._connected = Gauge(
            "vergence_emulator_connected", "1 while a camera is connected", _LINK, registry=registry
        )
        self._streams = Counter(
            "vergence_emulator_streams_total", "Streams that the center has accepted", _LINK, registry=registry
        )
        self._refused = metrics.refused_calls("vergence_emulator_refused_total", registry)
        self.expiry = Gauge("vergence_emulator_certificate_expiry_timestamp_seconds", metrics.EXPIRY, registry=registry)
        self.expiry.set(math.inf)
        self._per_link = (
            self._frames,
            self._symbols,
            self._received,
            self._sent,
            self._processing,
            self._snr,
            self._measured,
            self._power,
            self._connected,
            self._streams,
        )

    def call_refused(self, reason: Denial) -> None:
        """A call was not let in."""
        self._refused.labels(reason).inc()

    def forget(self, link: Link) -> None:
        """Take a link's series off the page."""
        for metric in self._per_link:
            metric.remove_by_labels({"rig": link.rig, "view": link.view.value})

    def link(self, link: Link, now: float) -> None:
        """How a link is now."""
        self._snr.labels(link.rig, link.view).set(link.snr_db(now))
        self._connected.labels(link.rig, link.view).set(link.connected)

    def stream(self, link: Link) -> None:
        """The center has accepted a camera's stream."""
        self._streams.labels(link.rig, link.view).inc()

    def frame(self, link: Link, outcome: FrameOutcome, seconds: float, received: int, sent: int) -> None:
        """A frame is done with. seconds: own time; received, sent: its bytes, sent is 0 if it went no further."""
        labels = (link.rig, link.view.value)
        self._processing.labels(*labels).observe(seconds)
        self._received.labels(*labels).inc(received)
        if isinstance(outcome, Delivered):
            self._frames.labels(*labels, "forwarded", "power" if outcome.checked.unusual else "").inc()
            self._symbols.labels(*labels).inc(outcome.output.received.size)
            self._sent.labels(*labels).inc(sent)
            self._measured.labels(*labels).set(outcome.output.measured_snr_db)
            self._power.labels(*labels).set(outcome.checked.power)
        else:
            self._frames.labels(*labels, "lost" if isinstance(outcome, Lost) else "rejected", outcome.reason).inc()
