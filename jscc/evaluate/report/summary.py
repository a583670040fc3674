"""Means over pictures, the best-of-modes envelope, and the Markdown table."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from jscc.evaluate.coding.ldpc import MODES
from jscc.evaluate.rows import Row
from jscc.evaluate.systems.registry import NAMES, envelope_of
from wire import quality

Curve = tuple[str, str, float]
"""(system, channel, delta)"""


@dataclass(frozen=True, slots=True)
class Mean:
    """Means over all pictures at one SNR. `left` and `right` are of one view, PSNR in dB; bytes None without bits."""

    psnr: float
    ms_ssim: float
    left: float
    right: float
    left_ms_ssim: float
    right_ms_ssim: float
    bytes: float | None
    views: int


def means(rows: Iterable[Row]) -> dict[Curve, dict[float, Mean]]:
    """Every curve as {SNR in dB: mean}, SNRs rising.

    rows     of one run, one for each pair and view
    returns  by (system, channel, delta in dB); a mean is taken over pairs and views, of PSNR in dB picture by picture
    """
    groups: dict[Curve, dict[float, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        groups[row.system, row.channel, row.delta][row.snr].append(row)
    return {
        curve: {snr: _mean(groups[curve][snr]) for snr in sorted(groups[curve])} for curve in sorted(groups, key=rank)
    }


def rank(curve: Curve) -> tuple[int, str, int, str, float]:
    """The order in which a reader looks: as in `registry.NAMES`, modes by rising efficiency after their envelope."""
    system, channel, delta = curve
    base = envelope_of(system) or system.partition("@")[0]
    place = NAMES.index(base) if base in NAMES else len(NAMES)
    modes = [f"{base}-{mode.name}" for mode in MODES]
    return place, channel, modes.index(system) if system in modes else -1, system, delta


def _mean(rows: Sequence[Row]) -> Mean:
    sides = {side: [row for row in rows if row.view == side] for side in ("left", "right")}
    sizes = [row.bytes for row in rows if row.bytes is not None]
    return Mean(
        psnr=_average([row.psnr for row in rows]),
        ms_ssim=_average([row.ms_ssim for row in rows]),
        left=_average([row.psnr for row in sides["left"]]),
        right=_average([row.psnr for row in sides["right"]]),
        left_ms_ssim=_average([row.ms_ssim for row in sides["left"]]),
        right_ms_ssim=_average([row.ms_ssim for row in sides["right"]]),
        bytes=_average(sizes) if sizes else None,
        views=len(rows),
    )


def _average(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def with_envelopes(rows: Sequence[Row]) -> list[Row]:
    """Add `bpg-ldpc` and `jpeg2000-ldpc`: at each SNR the rows of the mode with the best mean PSNR over all pictures.

    A sender who knows the SNR, but not the noise, can choose like that.
    """
    best: dict[tuple[str, str, float], tuple[float, str]] = {}
    for (system, channel, _), points in means(rows).items():
        base = envelope_of(system)
        for snr, mean in points.items():
            if base is not None:
                key = (base, channel, snr)
                best.setdefault(key, (mean.psnr, system))  # of modes that all fail, the most robust comes first
                if mean.psnr > best[key][0]:
                    best[key] = mean.psnr, system
    chosen = {(system, channel, snr): base for (base, channel, snr), (_, system) in best.items()}
    extra = [
        replace(row, system=chosen[row.system, row.channel, row.snr])
        for row in rows
        if (row.system, row.channel, row.snr) in chosen
    ]
    return [*rows, *extra]


def without_envelopes(rows: Iterable[Row]) -> list[Row]:
    """Rows that were measured, not chosen."""
    return [row for row in rows if row.system not in ("bpg-ldpc", "jpeg2000-ldpc")]


def label(curve: Curve) -> str:
    """A curve's name for a reader, such as `proposed-1, delta 5 dB`."""
    system, _, delta = curve
    said = {0.0: "", float("inf"): ", other view noiseless", float("-inf"): ", other view never arrives"}
    return system + said.get(delta, f", delta {delta:g} dB")


def markdown(rows: Sequence[Row], heading: str, notes: Sequence[str]) -> str:
    """A page with a table for each channel and quantity, curves down and SNRs across.

    notes  lines about how the numbers were made
    """
    curves = means(rows)
    pictures = {row.picture for row in rows}
    lines = [f"# {heading}", "", f"{len(pictures)} pairs, {2 * len(pictures)} views.", ""]
    lines += [f"- {note}" for note in notes]
    lines += ["- PSNR: per view over RGB, clamped to [0, 1], not rounded; the mean over views."]
    lines += [f"- {quality.MS_SSIM_DEFINITION}; the mean over views.", ""]
    for channel in sorted({curve[1] for curve in curves}):
        here = {curve: points for curve, points in curves.items() if curve[1] == channel}
        lines += _table(here, f"PSNR, dB, {channel}", lambda mean: f"{mean.psnr:.2f}")
        lines += _table(here, f"MS-SSIM, {channel}", lambda mean: f"{mean.ms_ssim:.4f}")
        coded = {curve: points for curve, points in here.items() if any(m.bytes is not None for m in points.values())}
        if coded:
            lines += _table(
                coded, f"Mean bytes a view, {channel}", lambda m: "" if m.bytes is None else f"{m.bytes:.0f}"
            )
    gaps = [
        abs(m.left - m.right)
        for curve, points in curves.items()
        if curve[0].startswith("proposed")
        for m in points.values()
    ]
    if gaps:
        lines += [
            f"Largest difference between the mean PSNRs of the left and the right view (proposed): {max(gaps):.2f} dB."
        ]
    return "\n".join(lines).rstrip() + "\n"


def _table(curves: dict[Curve, dict[float, Mean]], title: str, text: Callable[[Mean], str]) -> list[str]:
    snrs = sorted({snr for points in curves.values() for snr in points})
    lines = [f"## {title}", "", "| system | " + " | ".join(f"{snr:g} dB" for snr in snrs) + " |"]
    lines += ["|---" * (len(snrs) + 1) + "|"]
    for curve, points in curves.items():
        cells = [text(points[snr]) if snr in points else "" for snr in snrs]
        lines += [f"| {label(curve)} | " + " | ".join(cells) + " |"]
    return [*lines, ""]
