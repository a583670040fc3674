"""The paper's Fig. 3 from the table: quality over SNR on each kind of channel, over Delta, and every mode's cliff."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jscc.evaluate.registry import envelope_of
from jscc.evaluate.rows import Row
from jscc.evaluate.summary import Curve, Mean, label, means
from wire import quality

Quantity = Literal["psnr", "ms_ssim"]
Curves = Mapping[Curve, Mapping[float, Mean]]

_AXIS: Final[dict[Quantity, str]] = {"psnr": "PSNR (dB)", "ms_ssim": "MS-SSIM"}
_CHANNEL: Final = {"awgn": "AWGN", "rayleigh": "Rayleigh fast fading, CSI at the receiver"}
_STYLE: Final = {
    "proposed-1": ("#c0392b", "o"),
    "proposed-2": ("#8e44ad", "D"),
    "baseline": ("#e08e0b", "s"),
    "bpg-capacity": ("#1f618d", "^"),
    "bpg-ldpc": ("#5dade2", "v"),
    "jpeg2000-capacity": ("#1e8449", "P"),
    "jpeg2000-ldpc": ("#7dcea0", "X"),
    "jpeg2000-pillow-capacity": ("#95a5a6", "."),
}
_SHADES: Final = ("#1abc9c", "#e67e22", "#b7950b", "#27ae60", "#2980b9", "#8e44ad", "#7f8c8d")
_SETTINGS: Final[dict[str, Any]] = {
    "svg.hashsalt": "vergence", "svg.fonttype": "none", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3,
    "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "legend.fontsize": 8,
}  # fmt: skip


def draw(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Write every figure for which there is data, as PNG and SVG; returns the PNGs."""
    folder.mkdir(parents=True, exist_ok=True)
    curves = means(rows)
    written: list[Path] = []
    with rc_context(_SETTINGS):  # type: ignore[arg-type]
        for channel in sorted({curve[1] for curve in curves}):
            here = {curve: points for curve, points in curves.items() if curve[1] == channel}
            main = {c: p for c, p in here.items() if envelope_of(c[0]) is None and c[2] in (0.0, float("inf"))}
            written += [_figure(folder / f"{quantity}-{channel}", channel, main, [quantity]) for quantity in _AXIS]
            over = {c: p for c, p in here.items() if c[0].partition("@")[0] in ("proposed-1", "proposed-2", "baseline")}
            if any(curve[2] not in (0.0, float("inf")) for curve in over):
                written.append(_figure(folder / f"delta-{channel}", channel, over, list(_AXIS)))
            for base in sorted({envelope_of(curve[0]) or "" for curve in here} - {""}):
                along = (base, base.replace("-ldpc", "-capacity"))
                modes = {c: p for c, p in here.items() if envelope_of(c[0]) == base or c[0] in along}
                graceful = {c: p for c, p in here.items() if c[0] == "proposed-1" and c[2] == 0.0}
                written.append(_figure(folder / f"cliff-{base}-{channel}", channel, modes | graceful, ["psnr"]))
    return written


def _figure(stem: Path, channel: str, curves: Curves, quantities: Sequence[Quantity]) -> Path:
    width = 5.2 if len(curves) < 8 else 6.6
    figure = Figure(figsize=(width * len(quantities), 4.2), layout="constrained")
    shaded = stem.name.startswith(("delta", "cliff"))
    for place, quantity in enumerate(quantities):
        axes = figure.add_subplot(1, len(quantities), place + 1)
        _plot(axes, curves, quantity, shaded)
        axes.set_title(f"{_CHANNEL.get(channel, channel)}, R = 0.052")
    views = max(mean.views for points in curves.values() for mean in points.values())
    figure.supxlabel(f"{views} views. {quality.MS_SSIM_DEFINITION}", fontsize=7, color="#555555")
    target = stem.with_suffix(".png")
    figure.savefig(target, dpi=160)
    figure.savefig(stem.with_suffix(".svg"), metadata={"Date": None})
    return target


def _plot(axes: Axes, curves: Curves, quantity: Quantity, shaded: bool) -> None:
    for number, (curve, points) in enumerate(curves.items()):
        colour, marker = _STYLE.get(curve[0].partition("@")[0], (_SHADES[number % len(_SHADES)], "*"))
        line = "--" if "capacity" in curve[0] else "-"
        if shaded and (envelope_of(curve[0]) is not None or curve[2] not in (0.0, float("inf"))):
            colour, marker, line = _SHADES[number % len(_SHADES)], ".", ":" if envelope_of(curve[0]) else "-"
        values = [getattr(mean, quantity) for mean in points.values()]
        axes.plot(
            list(points), values, line, color=colour, marker=marker, markersize=4, linewidth=1.3, label=label(curve)
        )
    axes.set_xlabel("SNR = Es/N0 (dB)")
    axes.set_ylabel(_AXIS[quantity])
    axes.legend(loc="best" if len(curves) < 8 else "upper center", ncols=1 if len(curves) < 8 else 3)
    graceful = [getattr(m, quantity) for c, points in curves.items() if "ldpc" not in c[0] for m in points.values()]
    if graceful and not any(envelope_of(curve[0]) for curve in curves):  # pictures that were lost may leave the axis
        span = max(graceful) - min(graceful)
        axes.set_ylim(min(graceful) - 0.15 * span - 1e-3, max(graceful) + 0.1 * span + 1e-3)
    elif len(curves) >= 8:
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + 0.3 * (high - low))
