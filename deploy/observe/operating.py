"""The operator's dashboard: is it well? Its limits are those of deploy/prometheus/rules/alerts.yml."""

from typing import Final

from deploy.observe.panels import RIG, Query, curves, stat, states

VIEW: Final = "{{rig}}/{{view}}"

ROWS: Final = {
    "Now": [
        stat("alerts", "short", 'count(ALERTS{alertstate="firing"}) or vector(0)', "How many fire.", 1),
        stat("services down", "short", "count(up == 0) or vector(0)", "That Prometheus cannot reach.", 1),
        stat(
            "both views",
            "percentunit",
            f"sum(rig:vergence_paired:rate30s{{{RIG}}}) / sum(rig:vergence_captured:rate30s{{{RIG}}} > 0)",
            "Instants shown with both views, as a share of the pictures that the cameras take.",
            0.5,
            good_is_high=True,
        ),
        stat("latency", "s", f"max(view:vergence_latency_seconds:p95{{{RIG}}})", "p95, camera to picture.", 0.5),
        stat(
            "PSNR",
            "dB",
            f"min(view:vergence_psnr_decibels:mean30s{{{RIG}}})",
            "Of the worst view.",
            18,
            good_is_high=True,
        ),
        stat(
            "age",
            "s",
            f"max(time() - view:vergence_last_frame_timestamp_seconds:max{{{RIG}}})",
            "Since the last frame of the stalest camera. Seen at scrapes, so up to 10 s is well.",
            10,
        ),
    ],
    "What a viewer sees": [
        curves(
            "pictures a second",
            "fps",
            Query(f"rig:vergence_captured:rate30s{{{RIG}}}", "{{rig}} taken"),
            Query(f"rig:vergence_paired:rate30s{{{RIG}}}", "{{rig}} both views"),
            Query(f"rig:vergence_single:rate30s{{{RIG}}}", "{{rig}} one view"),
            text="Taken by the faster camera, shown with both views, shown with one.",
        ),
        curves(
            "camera to picture",
            "s",
            Query(f"view:vergence_latency_seconds:p50{{{RIG}}}", f"{VIEW} p50"),
            Query(f"view:vergence_latency_seconds:p95{{{RIG}}}", f"{VIEW} p95"),
            bad=0.5,
        ),
        curves(
            "PSNR",
            "dB",
            Query(f"view:vergence_psnr_decibels:mean30s{{{RIG}}}", VIEW),
            text="Mean of the referenced frames of 30 s.",
        ),
    ],
    "Cameras and links": [
        curves(
            "link SNR",
            "dB",
            Query(f"vergence_center_snr_decibels{{{RIG}}}", VIEW),
            text="Mean Es/N0 of the link as the center hears it. PSNR follows it, gently.",
        ),
        curves(
            "pictures that are never decoded",
            "percentunit",
            Query(f"view:vergence_lost:ratio30s{{{RIG}}}", VIEW),
            text="Lost at the edge, on the link or at the center; the engineer's dashboard has the reasons.",
        ),
        curves(
            "age of the last frame",
            "s",
            Query(f"time() - view:vergence_last_frame_timestamp_seconds:max{{{RIG}}}", VIEW),
            bad=10,
        ),
    ],
    "Alerts": [
        states(
            "firing",
            Query('max by (alertname) (ALERTS{alertstate="firing"}) or on() vector(0)', "{{alertname}}"),
            text="Red while it fires. What to do stands in the alert.",
        ),
        states(
            "down",
            Query("1 - up", "{{job}} {{instance}}"),
            Query(f"1 - vergence_edge_camera_up{{{RIG}}}", "camera " + VIEW),
            Query(f"1 - vergence_edge_connected{{{RIG}}}", "link " + VIEW),
            Query("1 - vergence_center_ready", "decoder"),
            text="Services that Prometheus cannot reach, cameras without a picture, edges without a link.",
        ),
    ],
}
