"""What Prometheus sees of the edge: every metric is named here."""

import math
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from wire.contract.outcomes import REASONS
from wire.runtime.metrics import EXPIRY, SECONDS, own_registry

_VIEW: Final = ("rig", "view")


class Metrics:
    """The edge's metrics in a registry of their own; labels are rig, view, stage, outcome and reason only."""

    def __init__(self, rig: str, view: str) -> None:
        self.registry = registry = own_registry()
        self._view = (rig, view)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"vergence_edge_{name}", text, (*_VIEW, *labels), registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"vergence_edge_{name}", text, _VIEW, registry=registry).labels(rig, view)

        self.expiry = gauge("certificate_expiry_timestamp_seconds", EXPIRY)
        self.expiry.set(math.inf)
        # camera
        self._captured = counter("captured_frames_total", "Pictures that the camera gave").labels(rig, view)
        self._camera_up = gauge("camera_up", "1 while the camera delivers")
        self._last_frame = gauge("last_frame_timestamp_seconds", "Capture time of the last picture, Unix time")
        self._failures = counter("camera_failures_total", "Times that the camera failed").labels(rig, view)
        self._undecodable = counter(
            "undecodable_frames_total", "Pictures and frames that could not be read or decoded, and were skipped"
        ).labels(rig, view)
        # frames
        self._drops = counter(
            "drops_total", "Pictures dropped here: offline, credit, encoder (busy or failed) or age", "reason"
        )
        self._frames = counter(
            "frames_total",
            "Frames sent, by what became of them: accepted, lost, dropped, rejected or unanswered; the reason is the"
            " receiver's word",
            "outcome",
            "reason",
        )
        self._sent_bytes = counter("sent_bytes_total", "Bytes of frames sent").labels(rig, view)
        self._stage = Histogram(
            "vergence_edge_stage_seconds",
            "Time of one stage: capture, encode, send or ack (from sending to the answer)",
            (*_VIEW, "stage"),
            buckets=SECONDS,
            registry=registry,
        )
        self._references = counter("references_total", "References: sent, failed or skipped", "outcome")
        # link
        self._connected = gauge("connected", "1 while the link stands")
        self._snr = gauge("link_snr_decibels", "Es/N0 that the encoder assumes; +Inf is noiseless")
        self._reconnects = counter("reconnects_total", "Times that the link stood again").labels(rig, view)
        self._ends = counter(
            "link_ends_total",
            "Times that the link ended or did not come about: drain, refused, silent, unavailable, closed, left or"
            " error (a defect here)",
            "reason",
        )
        self._credit = gauge("credit", "Frames that may be on their way; 0 while offline")
        self._in_use = gauge("credit_in_use", "Frames on their way")
        self._offset = gauge(
            "clock_offset_seconds",
            "The receiver's clock minus ours, as far as it is certain: less half of the round trip",
        )

    def captured(self, captured_at: float, seconds: float) -> None:
        """A picture is ready. captured_at: Unix time, seconds; seconds: how long that took."""
        self._captured.inc()
        self._camera_up.set(1)
        self._last_frame.set(captured_at)
        self.stage("capture", seconds)

    def passed_over(self, captured_at: float) -> None:
        """The encoder is too slow for a picture, which was left where it was. captured_at: Unix time, seconds."""
        self._captured.inc()
        self._last_frame.set(captured_at)
        self.dropped("encoder")

    def camera_failed(self) -> None:
        """The camera gave no picture."""
        self._failures.inc()
        self._camera_up.set(0)

    def camera_stalled(self) -> None:
        """The camera gave no picture for too long, and did not fail either."""
        self._camera_up.set(0)

    def undecodable(self) -> None:
        """A picture or frame could not be read or decoded."""
        self._undecodable.inc()

    def dropped(self, reason: str) -> None:
        """A picture was dropped before it was sent."""
        self._drops.labels(*self._view, reason).inc()

    def sent(self, size: int, seconds: float) -> None:
        """A frame of `size` bytes was handed to gRPC, which took `seconds`."""
        self._sent_bytes.inc(size)
        self.stage("send", seconds)

    def answered(self, outcome: str, reason: str, seconds: float | None) -> None:
        """A frame was answered. seconds: since it was sent, if it was on its way."""
        known = reason if not reason or reason in REASONS else "other"
        self._frames.labels(*self._view, outcome, known).inc()
        if seconds is not None:
            self.stage("ack", seconds)

    def unanswered(self, count: int) -> None:
        """The link ended while `count` frames were on their way."""
        self._frames.labels(*self._view, "unanswered", "").inc(count)

    def stage(self, stage: str, seconds: float) -> None:
        """One stage of one frame took `seconds`."""
        self._stage.labels(*self._view, stage).observe(seconds)

    def reference(self, outcome: str) -> None:
        """What became of a reference."""
        self._references.labels(*self._view, outcome).inc()

    def link_up(self, again: bool) -> None:
        """The link stands. again: not for the first time."""
        self._connected.set(1)
        self._reconnects.inc(again)

    def link_down(self, reason: str) -> None:
        """The link ended, or did not come about."""
        self._connected.set(0)
        self._ends.labels(*self._view, reason).inc()

    def snr(self, snr_db: float) -> None:
        """The SNR that the encoder assumes from now on, dB."""
        self._snr.set(snr_db)

    def credit(self, size: int, in_use: int) -> None:
        """The credit window, frames."""
        self._credit.set(size)
        self._in_use.set(in_use)

    def clock_offset(self, seconds: float) -> None:
        """The receiver's clock minus ours, as far as it is certain."""
        self._offset.set(seconds)
