"""The paper's Fig. 3 from the table: quality over SNR on each kind of channel, over Delta, and every mode's cliff."""

import math
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jscc.evaluate.report import published
from jscc.evaluate.report.summary import Curve, Mean, label, means
from jscc.evaluate.rows import Row
from jscc.evaluate.systems.registry import NEURAL, envelope_of
from wire import quality

Quantity = Literal["psnr", "ms_ssim"]
Curves = Mapping[Curve, Mapping[float, Mean]]

_AXIS: Final[dict[Quantity, str]] = {"psnr": "PSNR (dB)", "ms_ssim": "MS-SSIM"}
_CHANNEL: Final = {"awgn": "AWGN", "rayleigh": "Rayleigh fast fading, CSI at the receiver"}
_STYLE: Final = {
    "proposed-1": ("#c0392b", "o"),
    "proposed-2": ("#8e44ad", "D"),
    "proposed-absent": ("#7f8c8d", "p"),
    "baseline": ("#e08e0b", "s"),
    "dsin-capacity": ("#b7950b", "<"),
    "dwsic-capacity": ("#d35492", ">"),
    "bpg-capacity": ("#1f618d", "^"),
    "bpg-ldpc": ("#5dade2", "v"),
    "jpeg2000-capacity": ("#1e8449", "P"),
    "jpeg2000-ldpc": ("#7dcea0", "X"),
    "jpeg2000-pillow-capacity": ("#95a5a6", "."),
}
_SHADES: Final = ("#1abc9c", "#e67e22", "#b7950b", "#27ae60", "#2980b9", "#8e44ad", "#7f8c8d")
_SETTINGS: Final[dict[str, Any]] = {
    "svg.hashsalt": "vergence", "svg.fonttype": "none", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3,
    "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "legend.fontsize": 7.5,
}  # fmt: skip


def draw(rows: Sequence[Row], folder: Path, ms_ssim_trained: Container[str] = ()) -> list[Path]:
    """Write every figure for which there is data, as PNG and SVG.

    rows             of one run; means are taken over pairs and views
    folder           is made if it is not there
    ms_ssim_trained  systems that were trained for MS-SSIM: no panel of PSNR shows them; panels of MS-SSIM show them as
                     full lines and the networks that were trained for PSNR as dotted ones
    returns          the PNGs
    raises           OSError if one cannot be written
    source           paper, Fig. 3
    """
    folder.mkdir(parents=True, exist_ok=True)
    curves = means(rows)
    written: list[Path] = []
    with rc_context(_SETTINGS):  # type: ignore[arg-type]
        for channel in sorted({curve[1] for curve in curves}):
            here = {curve: points for curve, points in curves.items() if curve[1] == channel}
            plain = {c: p for c, p in here.items() if c[0] not in ms_ssim_trained}
            main = {c: p for c, p in here.items() if _is_main(c)}
            aimed = {c: p for c, p in main.items() if c[0] not in ms_ssim_trained}
            written.append(_figure(folder / f"psnr-{channel}", channel, [("psnr", aimed)]))
            dotted = {c for c in aimed if _base(c) in NEURAL} if len(aimed) < len(main) else set()
            written.append(_figure(folder / f"ms_ssim-{channel}", channel, [("ms_ssim", main)], dotted))
            over = {c: p for c, p in here.items() if _base(c) in NEURAL}
            if any(curve[2] not in (0.0, float("inf")) for curve in over):
                aimed = {c: p for c, p in over.items() if c in plain}
                others = {c: p for c, p in over.items() if c not in plain or _base(c) == "baseline"}
                written.append(
                    _figure(
                        folder / f"delta-{channel}",
                        channel,
                        [("psnr", aimed), ("ms_ssim", others if len(aimed) < len(over) else aimed)],
                    )
                )
            for base in sorted({envelope_of(curve[0]) or "" for curve in here} - {""}):
                along = (base, base.replace("-ldpc", "-capacity"))
                modes = {c: p for c, p in here.items() if envelope_of(c[0]) == base or c[0] in along}
                graceful = {c: p for c, p in here.items() if c[0] == "proposed-1" and c[2] == 0.0}
                written.append(_figure(folder / f"cliff-{base}-{channel}", channel, [("psnr", modes | graceful)]))
    return written


def _base(curve: Curve) -> str:
    return curve[0].partition("@")[0]


def _is_main(curve: Curve) -> bool:
    """Of Fig. 3 (a), (b) and (d): no single modes, no deltas, no lost views, and of two JPEG 2000 the strong one."""
    aside = ("proposed-absent", "jpeg2000-pillow-capacity")
    return envelope_of(curve[0]) is None and curve[2] in (0.0, float("inf")) and _base(curve) not in aside


def _figure(stem: Path, channel: str, panels: Sequence[tuple[Quantity, Curves]], dotted: Container[Curve] = ()) -> Path:
    columns = 2 if len(panels) == 1 else 1
    legend_rows = max(-(-len(curves) // columns) for _, curves in panels)
    figure = Figure(figsize=(5.2 * len(panels), 3.9 + 0.16 * legend_rows), layout="constrained")
    figure.suptitle(f"{_CHANNEL.get(channel, channel)}, R = 0.052", fontsize=10)
    referred = False
    for place, (quantity, curves) in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), place + 1)
        _plot(axes, curves, quantity, dotted, shaded=stem.name.startswith(("delta", "cliff")))
        referred |= _refer(axes, curves, quantity, channel)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=columns)
    views = max(mean.views for _, curves in panels for points in curves.values() for mean in points.values())
    notes = f"{views} views. {quality.MS_SSIM_DEFINITION}" + (f"\n{published.NOTE}" if referred else "")
    figure.supxlabel(notes, fontsize=7, color="#555555")
    target = stem.with_suffix(".png")
    figure.savefig(target, dpi=140)
    figure.savefig(stem.with_suffix(".svg"), metadata={"Date": None})
    return target


def _plot(axes: Axes, curves: Curves, quantity: Quantity, dotted: Container[Curve], *, shaded: bool) -> None:
    for number, (curve, points) in enumerate(curves.items()):
        colour, marker = _STYLE.get(_base(curve), (_SHADES[number % len(_SHADES)], "*"))
        line = "--" if "capacity" in curve[0] else ":" if curve in dotted else "-"
        if shaded and (envelope_of(curve[0]) is not None or (curve[2] != 0.0 and not math.isinf(curve[2]))):
            colour, marker, line = _SHADES[number % len(_SHADES)], ".", ":" if envelope_of(curve[0]) else "-"
        values = [getattr(mean, quantity) for mean in points.values()]
        axes.plot(
            list(points), values, line, color=colour, marker=marker, markersize=4, linewidth=1.3, label=label(curve)
        )
    axes.set_xlabel("SNR = Es/N0 (dB)")
    axes.set_ylabel(_AXIS[quantity])
    graceful = [getattr(m, quantity) for c, points in curves.items() if "ldpc" not in c[0] for m in points.values()]
    if graceful and not any(envelope_of(curve[0]) for curve in curves):  # pictures that were lost may leave the axis
        span = max(graceful) - min(graceful)
        axes.set_ylim(min(graceful) - 0.15 * span - 1e-3, max(graceful) + 0.1 * span + 1e-3)


def _refer(axes: Axes, curves: Curves, quantity: Quantity, channel: str) -> bool:
    """Draw the published curves of the systems that are shown; whether there were any."""
    drawn = False
    for (system, _, _), points in curves.items():
        if system in published.POINTS and channel == "awgn":
            line = published.curve(system, quantity, "awgn", list(points))
            name = f"{system.removesuffix('-capacity').upper()}, published, other pictures"
            axes.plot(
                list(line),
                list(line.values()),
                linestyle=(0, (4, 4)),
                color=_STYLE[system][0],
                linewidth=0.7,
                label=name,
            )
            if line:
                low, high = axes.get_ylim()
                axes.set_ylim(min(low, *line.values()), max(high, *line.values()))
                drawn = True
    return drawn
