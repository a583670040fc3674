"""The engineer's dashboard: where time goes, what the links do, and why frames are lost."""

from typing import Final

from deploy.observe.panels import RIG, Panel, Query, Unit, curves, layers

VIEW: Final = "{{rig}}/{{view}}"


def rate(metric: str, by: str, *matchers: str) -> str:
    """Events a second; 0 if there was never one, so that a quiet system shows a line and not a hole."""
    selector = ", ".join((RIG, *matchers)) if "rig" in by else ", ".join(matchers)
    return f"sum by ({by}) (rate({metric}{{{selector}}}[$__rate_interval])) or on() vector(0)"


def mean(histogram: str, by: str, matchers: str = RIG) -> str:
    return " / ".join(
        f"sum by ({by}) (rate({histogram}_{part}{{{matchers}}}[$__rate_interval]))" for part in ("sum", "count")
    )


def p95(histogram: str, by: str, matchers: str = RIG) -> str:
    return f"histogram_quantile(0.95, sum by ({by}, le) (rate({histogram}_bucket{{{matchers}}}[$__rate_interval])))"


def gauge(title: str, unit: Unit, metric: str, legend: str = VIEW, text: str = "") -> Panel:
    return curves(title, unit, Query(f"{metric}{{{RIG}}}", legend), text=text)


ROWS: Final = {
    "Time": [
        layers(
            "mean time in each stage",
            "s",
            Query(mean("vergence_center_stage_seconds", "stage", f'{RIG}, stage!="total"'), "{{stage}}"),
            text="The layers add up to camera-to-picture. pair: waiting for the other view; batch: for the decoder.",
        ),
        curves(
            "p95 of each stage, at the center",
            "s",
            Query(p95("vergence_center_stage_seconds", "stage"), "{{stage}}"),
        ),
        curves(
            "p95 of each stage, at the edges",
            "s",
            Query(p95("vergence_edge_stage_seconds", "rig, view, stage"), f"{VIEW} {{{{stage}}}}"),
            text="ack: from sending to the answer; the center answers when a frame leaves for the decoder.",
        ),
        curves(
            "p95 of the emulator's own time",
            "s",
            Query(p95("vergence_emulator_processing_seconds", "rig, view"), VIEW),
            text="Without the delay that is configured.",
        ),
    ],
    "Batches and queues": [
        curves(
            "pairs in a batch",
            "short",
            Query(
                "rate(vergence_center_batch_pairs_sum[$__rate_interval])"
                " / rate(vergence_center_batch_pairs_count[$__rate_interval])",
                "mean",
            ),
            Query(p95("vergence_center_batch_pairs", "instance", ""), "p95"),
        ),
        curves(
            "queue",
            "short",
            Query("vergence_center_queue_pairs", "instants that wait"),
            text="Before the decoder, at the moment of the scrape.",
        ),
        curves("queue age", "s", Query("vergence_center_queue_age_seconds", "next instant")),
        curves(
            "credit",
            "short",
            Query(f"vergence_edge_credit{{{RIG}}}", f"{VIEW} granted"),
            Query(f"vergence_edge_credit_in_use{{{RIG}}}", f"{VIEW} on the way"),
            text="0 granted: offline. All of it on the way: the center is the slow one.",
        ),
    ],
    "Quality": [
        curves(
            "PSNR",
            "dB",
            Query(mean("vergence_center_psnr_decibels", "rig, view"), f"{VIEW} mean"),
            Query(f"vergence_center_last_psnr_decibels{{{RIG}}}", f"{VIEW} newest"),
        ),
        curves("MS-SSIM", "none", Query(mean("vergence_center_ms_ssim_ratio", "rig, view"), VIEW)),
        curves(
            "references, at the edges",
            "ops",
            Query(rate("vergence_edge_references_total", "rig, view, outcome"), f"{VIEW} {{{{outcome}}}}"),
        ),
        curves(
            "references, at the center",
            "ops",
            Query(rate("vergence_center_references_total", "outcome"), "{{outcome}}"),
        ),
    ],
    "Links": [
        curves(
            "SNR",
            "dB",
            Query(f"vergence_emulator_snr_decibels{{{RIG}}}", f"{VIEW} configured"),
            Query(f"vergence_emulator_measured_snr_decibels{{{RIG}}}", f"{VIEW} measured"),
            Query(f"vergence_edge_link_snr_decibels{{{RIG}}}", f"{VIEW} as the encoder assumes"),
            text="Measured swings with the fading.",
        ),
        gauge("power", "none", "vergence_emulator_power_ratio", text="Mean |s|² of the last frame; must be 1."),
        curves(
            "symbols",
            "ops",
            Query(rate("vergence_emulator_symbols_total", "rig, view"), VIEW),
            text="Complex, a second.",
        ),
        curves(
            "frames on the link",
            "ops",
            Query(
                rate("vergence_emulator_frames_total", "rig, view, outcome, reason"),
                f"{VIEW} {{{{outcome}}}} {{{{reason}}}}",
            ),
        ),
    ],
    "Doors": [
        curves(
            "calls refused at the center",
            "ops",
            Query(rate("vergence_center_refused_total", "reason"), "{{reason}}"),
            text="No token, one unknown or expired, of a wrong role or rig.",
        ),
        curves(
            "calls refused at the emulator",
            "ops",
            Query(rate("vergence_emulator_refused_total", "reason"), "{{reason}}"),
        ),
        curves(
            "certificates end in",
            "s",
            *(
                Query(f"(vergence_{service}_certificate_expiry_timestamp_seconds < Inf) - time()", "{{instance}}")
                for service in ("edge", "emulator", "center")
            ),
            text="The first of each service; nothing is drawn without TLS.",
        ),
    ],
    "Bytes": [
        curves("sent by the edges", "Bps", Query(rate("vergence_edge_sent_bytes_total", "rig, view"), VIEW)),
        curves(
            "received by the emulator", "Bps", Query(rate("vergence_emulator_received_bytes_total", "rig, view"), VIEW)
        ),
        curves("sent by the emulator", "Bps", Query(rate("vergence_emulator_sent_bytes_total", "rig, view"), VIEW)),
    ],
    "Frames and drops": [
        curves("taken by the cameras", "ops", Query(rate("vergence_edge_captured_frames_total", "rig, view"), VIEW)),
        curves(
            "dropped at the edges, by reason",
            "ops",
            Query(rate("vergence_edge_drops_total", "rig, view, reason"), f"{VIEW} {{{{reason}}}}"),
        ),
        curves(
            "what became of sent frames",
            "ops",
            Query(
                rate("vergence_edge_frames_total", "rig, view, outcome, reason"),
                f"{VIEW} {{{{outcome}}}} {{{{reason}}}}",
            ),
        ),
        curves(
            "frames at the center",
            "ops",
            Query(rate("vergence_center_frames_total", "rig, view, outcome"), f"{VIEW} {{{{outcome}}}}"),
        ),
        curves(
            "dropped at the center, by reason",
            "ops",
            Query(rate("vergence_center_drops_total", "rig, view, reason"), f"{VIEW} {{{{reason}}}}"),
        ),
        curves("instants", "ops", Query(rate("vergence_center_pairs_total", "rig, outcome"), "{{rig}} {{outcome}}")),
    ],
    "Recordings": [
        curves(
            "pairs recorded, and not",
            "ops",
            Query(rate("vergence_center_recording_pairs_total", "outcome"), "{{outcome}}"),
            Query("vergence_center_recording_active", "1: recording"),
            text="Dropped: the disk is too slow. Failed: it is full or broken; the center's log says which.",
        ),
        curves("the ring on disk", "bytes", Query("vergence_center_recording_bytes", "bytes")),
        curves(
            "p95 of the disk's time to keep what was written",
            "s",
            Query(p95("vergence_center_recording_flush_seconds", "instance", ""), "p95"),
        ),
    ],
    "Clocks": [
        curves(
            "cameras that do not agree",
            "short",
            Query("vergence_center_disagreement", "{{rig}} {{reason}}"),
            text="Rate, loop, clock or swapped: the center's log says what differs.",
        ),
        gauge("clock offset, as the edge sees it", "s", "vergence_edge_clock_offset_seconds"),
        gauge("clock offset, as the center sees it", "s", "vergence_center_clock_offset_seconds"),
        gauge(
            "skew", "s", "vergence_center_skew_seconds", "{{rig}}", "How much later left frames come than right ones."
        ),
        curves(
            "95th percentile of the distance of a pair's captures",
            "s",
            Query(p95("vergence_center_pair_distance_seconds", "rig", RIG), "{{rig}}"),
            text="0 where both cameras capture at the same moment; half a frame period is the limit.",
        ),
        curves(
            "age of the last frame",
            "s",
            Query(f"time() - vergence_edge_last_frame_timestamp_seconds{{{RIG}}}", f"{VIEW} at the edge"),
            Query(f"time() - vergence_center_last_frame_timestamp_seconds{{{RIG}}}", f"{VIEW} at the center"),
        ),
    ],
    "Connections": [
        curves(
            "connected",
            "short",
            Query(f"vergence_edge_connected{{{RIG}}}", f"{VIEW} edge"),
            Query(f"vergence_emulator_connected{{{RIG}}}", f"{VIEW} emulator"),
            Query(f"vergence_center_connected{{{RIG}}}", f"{VIEW} center"),
        ),
        curves(
            "links that ended, by reason",
            "ops",
            Query(rate("vergence_edge_link_ends_total", "rig, view, reason"), f"{VIEW} {{{{reason}}}}"),
            Query(rate("vergence_edge_reconnects_total", "rig, view"), f"{VIEW} stands again"),
        ),
        curves(
            "streams",
            "ops",
            Query(rate("vergence_emulator_streams_total", "rig, view"), f"{VIEW} opened at the emulator"),
            Query(rate("vergence_center_hellos_total", "outcome"), "{{outcome}} by the center"),
        ),
        curves(
            "cameras that failed",
            "ops",
            Query(rate("vergence_edge_camera_failures_total", "rig, view"), VIEW),
            Query(rate("vergence_edge_undecodable_frames_total", "rig, view"), f"{VIEW} undecodable"),
        ),
    ],
    "Processes": [
        curves(
            "CPU", "percentunit", Query("rate(process_cpu_seconds_total[$__rate_interval])", "{{job}} {{instance}}")
        ),
        curves("memory", "bytes", Query("process_resident_memory_bytes", "{{job}} {{instance}}")),
        curves(
            "background work that failed",
            "ops",
            Query("rate(vergence_center_background_failures_total[$__rate_interval])", "center"),
            Query("rate(vergence_emulator_background_failures_total[$__rate_interval])", "emulator"),
            text="0 when all is well: old rigs are forgotten, links follow their schedules. The log says what failed.",
        ),
        curves("open files", "short", Query("process_open_fds", "{{job}} {{instance}}")),
    ],
}
