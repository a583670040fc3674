"""What the center counts. Names start with `vergence_center_`; labels are rig, view, stage, outcome, reason only."""

import math
from collections.abc import Mapping
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from wire.runtime.metrics import DECIBELS, EXPIRY, SECONDS, own_registry, refused_calls
from wire.security.tokens import Denial
from wire.views import View

_PREFIX: Final = "vergence_center_"
STAGES: Final = ("capture", "encode", "channel", "network", "pair", "batch", "decode", "total")
"""Where a frame spends its time, in order; total is from capture to decoded."""

_MS_SSIM: Final = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99, 1.0)
_DISTANCES: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_BATCH: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)


class Metrics:
    """Every metric of the center, on a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = own_registry()
        link = ("rig", "view")
        self.stage_seconds = Histogram(
            f"{_PREFIX}stage_seconds",
            "Time that frames spent in a stage.",
            (*link, "stage"),
            buckets=SECONDS,
            registry=registry,
        )
        self.frames = Counter(
            f"{_PREFIX}frames_total",
            "Frames by what became of them: accepted (decoded), dropped, rejected or failed in the decoder.",
            (*link, "outcome"),
            registry=registry,
        )
        self.drops = Counter(
            f"{_PREFIX}drops_total", "Frames that were not decoded, by reason.", (*link, "reason"), registry=registry
        )
        self.pairs = Counter(
            f"{_PREFIX}pairs_total",
            "Instants: decoded with both views (paired) or one (single); frames too late for theirs (late).",
            ("rig", "outcome"),
            registry=registry,
        )
        self.references = Counter(
            f"{_PREFIX}references_total",
            "References: received, measured, expired without a partner, skipped under load, failed.",
            ("outcome",),
            registry=registry,
        )
        self.hellos = Counter(
            f"{_PREFIX}hellos_total", "Streams that said Hello, taken or why refused.", ("outcome",), registry=registry
        )
        self.batch_pairs = Histogram(f"{_PREFIX}batch_pairs", "Instants in a batch.", buckets=_BATCH, registry=registry)
        self.queue_pairs = Gauge(f"{_PREFIX}queue_pairs", "Instants that wait for the decoder.", registry=registry)
        self.queue_age = Gauge(
            f"{_PREFIX}queue_age_seconds", "Wait of the instant in the queue whose turn is next.", registry=registry
        )
        self.psnr = Histogram(
            f"{_PREFIX}psnr_decibels", "PSNR of referenced frames.", link, buckets=DECIBELS, registry=registry
        )
        self.ms_ssim = Histogram(
            f"{_PREFIX}ms_ssim_ratio",
            "MS-SSIM (window 7, 5 scales) of referenced frames.",
            link,
            buckets=_MS_SSIM,
            registry=registry,
        )
        self.last_psnr = Gauge(
            f"{_PREFIX}last_psnr_decibels", "PSNR of the newest referenced frame.", link, registry=registry
        )
        self.snr = Gauge(
            f"{_PREFIX}snr_decibels", "Mean Es/N0 of the link at the newest frame.", link, registry=registry
        )
        self.connected = Gauge(f"{_PREFIX}connected", "1 while the camera is connected.", link, registry=registry)
        self.last_frame = Gauge(
            f"{_PREFIX}last_frame_timestamp_seconds", "Unix time of the newest frame.", link, registry=registry
        )
        self.clock_offset = Gauge(
            f"{_PREFIX}clock_offset_seconds",
            "Our clock minus the camera's, the shortest way here of the last ten seconds included.",
            link,
            registry=registry,
        )
        self.pair_distance = Histogram(
            f"{_PREFIX}pair_distance_seconds",
            "How far apart the captures of the two views of a pair are.",
            ("rig",),
            buckets=_DISTANCES,
            registry=registry,
        )
        self.skew = Gauge(
            f"{_PREFIX}skew_seconds",
            "How much longer left frames take from capture to here than right ones.",
            ("rig",),
            registry=registry,
        )
        self.disagreement = Gauge(
            f"{_PREFIX}disagreement",
            "1 while the cameras of a rig do not agree: rates, clips (loop) or clocks differ, so that pairs may show"
            " different moments; or left and right look swapped.",
            ("rig", "reason"),
            registry=registry,
        )
        self.ready = Gauge(f"{_PREFIX}ready", "1 while the decoder is warm and takes frames.", registry=registry)
        self.background_failures = Counter(
            f"{_PREFIX}background_failures_total",
            "Background work that failed and is tried again; the log says which.",
            registry=registry,
        )
        self.recording_pairs = Counter(
            f"{_PREFIX}recording_pairs_total",
            "Decoded instants by what became of their recording: recorded (on the disk for certain), dropped (the disk"
            " is too slow), failed.",
            ("outcome",),
            registry=registry,
        )
        self.recording_active = Gauge(
            f"{_PREFIX}recording_active",
            "1 while pairs are recorded.",
            registry=registry,
        )
        self.recording_bytes = Gauge(
            f"{_PREFIX}recording_bytes", "Size of the ring of recordings on disk.", registry=registry
        )
        self.recording_flush = Histogram(
            f"{_PREFIX}recording_flush_seconds",
            "Time that the disk took to keep what was written.",
            buckets=SECONDS,
            registry=registry,
        )
        self.refused = refused_calls(f"{_PREFIX}refused_total", registry)
        self.expiry = Gauge(f"{_PREFIX}certificate_expiry_timestamp_seconds", EXPIRY, registry=registry)
        self.expiry.set(math.inf)
        self._per_link = (
            self.stage_seconds,
            self.frames,
            self.drops,
            self.psnr,
            self.ms_ssim,
            self.last_psnr,
            self.snr,
            self.connected,
            self.last_frame,
            self.clock_offset,
        )
        self._per_rig = (self.pairs, self.pair_distance, self.skew, self.disagreement)

    def call_refused(self, reason: Denial) -> None:
        """A call was not let in."""
        self.refused.labels(reason).inc()

    def stages(self, rig: str, view: View, stages: Mapping[str, float], total: float) -> None:
        """Count one decoded frame's times, seconds."""
        for stage, seconds in (*stages.items(), ("total", total)):
            self.stage_seconds.labels(rig, view, stage).observe(seconds)

    def forget(self, rig: str) -> None:
        """Take a rig's series off the page."""
        for metric in (*self._per_link, *self._per_rig):
            metric.remove_by_labels({"rig": rig})
