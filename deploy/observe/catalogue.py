"""Every metric of every service, read off the code, and its table: `python -m deploy.observe.catalogue`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

import center.metrics
import channel_emulator.metrics
import edge.metrics
from deploy.observe import marks
from wire.runtime.metrics import DECIBELS, SECONDS

TABLE: Final = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


@dataclass(frozen=True, slots=True)
class Metric:
    """One family. name: as it is queried, without a histogram's `_bucket`, `_sum` and `_count`."""

    service: str
    name: str
    kind: str
    labels: tuple[str, ...]
    text: str

    @property
    def queried(self) -> set[str]:
        """The names under which Prometheus knows it."""
        parts = ("_bucket", "_sum", "_count") if self.kind == "histogram" else ("",)
        return {self.name + part for part in parts}


def metrics() -> list[Metric]:
    """Of the edge, the emulator and the center, in the order of the code."""
    registries = {
        "edge": edge.metrics.Metrics("demo", "left").registry,
        "emulator": channel_emulator.metrics.Metrics().registry,
        "center": center.metrics.Metrics().registry,
    }
    return [metric for service, registry in registries.items() for metric in _read(service, registry)]


def _read(service: str, registry: CollectorRegistry) -> Iterator[Metric]:
    # The library tells names, kinds and texts, but label names only where there are samples already.
    for collector in registry._collector_to_names:
        labels: tuple[str, ...] = tuple(getattr(collector, "_labelnames", ()))
        for family in collector.collect():
            if family.name.startswith("vergence_"):
                name = family.name + ("_total" if family.type == "counter" else "")
                yield Metric(service, name, family.type, labels, family.documentation.rstrip("."))


def table() -> str:
    """docs/metrics.md."""
    lines = [
        "# Metrics",
        "",
        "Made by `make metrics` from the code; a test keeps it so. Base units; the labels are `rig`, `view`, `stage`,",
        "`outcome` and `reason` only, never a frame or a stream, so the series are bounded by the number of rigs.",
        "Every service also has the `process_` and `python_` metrics of its process.",
        "",
        f"- Times in seconds: buckets {_buckets(SECONDS, 1e3)} ms.",
        f"- PSNR in decibels: buckets {_buckets(DECIBELS, 1)} dB.",
    ]
    every = metrics()
    for service in dict.fromkeys(metric.service for metric in every):
        lines += ["", f"## {service}", "", "| metric | kind | labels | what |", "|---|---|---|---|"]
        lines += [
            f"| `{metric.name}` | {metric.kind} | {', '.join(metric.labels)} | {_cell(metric.text)} |"
            for metric in every
            if metric.service == service
        ]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")  # |s|^2 would end the cell


def _buckets(bounds: tuple[float, ...], scale: float) -> str:
    return ", ".join(f"{bound * scale:g}" for bound in bounds)


if __name__ == "__main__":
    marks.write(TABLE, table())
