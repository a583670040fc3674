"""Draw how trainings went: `python -m jscc.curves runs/a runs/b --out curves.svg`.

Above, validation PSNR of each SNR; below, the training loss. A run that began with another's weights is drawn after it
when both are given. Time is that of the runs, resumes and validation included, reading pictures and
starting up left out.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from jscc.cli import exit_code
from jscc.evaluate.extras import require
from jscc.train.run_log import Row, RunLog, duration, read_run
from wire.runtime.errors import UserError, cause

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES: Final = (".svg", ".png", ".pdf")
KINDS: Final[dict[str, Literal["-", ":"]]] = {"true": "-", "absent": ":"}
"""Of the neighbours in val.csv, and how their lines look: what is lost without the other view shows between the two."""
COLOURS: Final = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#666666", "#7a4b1e",
    "#332288", "#882255", "#117733", "#aaa000",
)  # fmt: skip
POINTS: Final = 250
"""Of a loss curve; longer ones are averaged down."""
_SETTINGS: Final[dict[str, Any]] = {
    "svg.hashsalt": "vergence", "svg.fonttype": "none", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3,
    "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "legend.title_fontsize": 9,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stage:
    """A run with its place on the step axis.

    `val` begins with the last look at the run before, if that is drawn too and decodes alike.
    """

    run: RunLog
    began: float
    val: list[Row]
    label: str

    @property
    def joint(self) -> bool:
        """Whether its decoder looks at the neighbour at all."""
        return bool(self.run.about["config"]["joint"])


def stages(runs: Sequence[RunLog]) -> list[Stage]:
    """Place every run after the one that it began with, if that is among `runs`, and at 0 otherwise."""
    named = {run.name: run for run in runs}
    made = []
    for run in runs:
        before = run.about.get("before", {})
        parent = _parent(run, named)
        alike = parent is not None and parent.about["config"]["joint"] == run.about["config"]["joint"]
        looks = parent.val if parent and alike else []
        start = [{**row, "step": 0.0} for row in looks if row["step"] == before["step"]]
        steps = run.train[-1]["step"] if run.train else 0
        after = f" after {parent.name if parent else before['from']}" if before else ""
        label = f"{run.name}: {steps:,.0f} steps{after}, {duration(run.seconds)}"
        made.append(Stage(run, _began(run, named), start + run.val, label))
    return made


def _began(run: RunLog, named: Mapping[str, RunLog]) -> float:
    """Steps that led to the run's first, by the runs that are drawn."""
    steps, seen = 0.0, {run.name}
    while (parent := _parent(run, named)) is not None and parent.name not in seen:
        steps += run.about["before"]["step"]
        run = parent
        seen.add(run.name)
    return steps


def _parent(run: RunLog, named: Mapping[str, RunLog]) -> RunLog | None:
    """The run that this one began with: by its name, or the run that the codec was made of that it began with."""
    before = run.about.get("before")
    if before is None:
        return None
    if before["from"] in named or "settings" not in before:
        return named.get(before["from"])
    return next((other for other in named.values() if _origin(other.about) == _origin(before)), None)


def _origin(about: Mapping[str, Any]) -> tuple[Any, Any]:
    """What tells one training from all others."""
    return about.get("settings"), about.get("before", {}).get("from")


def draw(runs: Sequence[RunLog], out: Path) -> None:
    """Write the picture; its kind follows from the suffix of `out`. UserError if there is nothing to draw."""
    if out.suffix not in SUFFIXES:
        raise UserError(f"--out {out}: the name must end in {', '.join(SUFFIXES)}")
    placed = stages(runs)
    if not any(run.train for run in runs):
        raise UserError("no run has a row in train.csv yet; the first comes after --log-every steps")
    require("matplotlib", "drawing curves", extra="train")
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    snrs = sorted({float(key.split("@")[1]) for run in runs for row in run.val for key in row if "@" in key})
    losses = list(dict.fromkeys(run.about["settings"]["loss"] for run in runs))
    with rc_context(_SETTINGS):  # type: ignore[arg-type]
        figure = Figure(figsize=(max(3.4 * len(snrs), 8.0), 6.4 if snrs else 3.4), layout="constrained")
        parts = figure.subfigures(2 if snrs else 1, 1, height_ratios=[1.25, 1] if snrs else None, squeeze=False)[:, 0]
        if snrs:
            for axes, snr in zip(parts[0].subplots(1, len(snrs), squeeze=False)[0], snrs, strict=True):
                _psnr(axes, placed, snr)
        for axes, loss in zip(parts[-1].subplots(1, len(losses), squeeze=False)[0], losses, strict=True):
            _loss(axes, placed, loss)
        colours = [Line2D([], [], color=_colour(i), label=stage.label) for i, stage in enumerate(placed)]
        looks = {"true": "other view over an equal link", "absent": "other view never came"}
        lines = [Line2D([], [], color="#333333", linestyle=KINDS[k], label=looks[k]) for k in KINDS] if snrs else []
        total = duration(sum(run.seconds for run in runs))
        figure.legend(handles=colours, loc="outside upper left", title=f"training time: {total}", alignment="left")
        if lines:
            figure.legend(handles=lines, loc="outside upper right", title="validation", alignment="left")
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(out, dpi=130, metadata={"Date": None} if out.suffix == ".svg" else None)
        except OSError as error:
            raise UserError(f"--out {out} cannot be written: {cause(error)}") from None
    print(f"wrote {out}")


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _psnr(axes: "Axes", placed: Sequence[Stage], snr: float) -> None:
    """Validation PSNR of one SNR over the step."""
    for number, stage in enumerate(placed):
        for kind, line in KINDS.items():
            key = f"{kind}@{snr:g}"
            rows = [row for row in stage.val if key in row]
            if kind == "true" or stage.joint:  # a baseline does not care what the neighbour is
                axes.plot(
                    [stage.began + row["step"] for row in rows],
                    [row[key] for row in rows],
                    line,
                    color=_colour(number),
                    marker="o" if kind == "true" else None,
                    markersize=3,
                    linewidth=1.4,
                )
    axes.set_title(f"{snr:g} dB", fontsize=10)
    axes.set_ylabel("validation PSNR (dB)" if axes.get_subplotspec().is_first_col() else "")  # type: ignore[union-attr]
    _steps(axes, placed)


def _loss(axes: "Axes", placed: Sequence[Stage], loss: str) -> None:
    """Training loss of one kind over the step."""
    for number, stage in enumerate(placed):
        if stage.run.about["settings"]["loss"] == loss:
            rows = averaged(stage.run.train, POINTS)
            steps = [stage.began + row["step"] for row in rows]
            axes.plot(steps, [row["loss"] for row in rows], color=_colour(number), linewidth=1.1)
    axes.set_ylabel(f"training loss ({loss})")
    axes.set_xlabel("step")
    _steps(axes, placed)


def _steps(axes: "Axes", placed: Sequence[Stage]) -> None:
    """The step axis, with a line where a run took over from another."""
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.locator_params(axis="x", nbins=6)
    axes.set_xlim(0, 1.02 * max(stage.began + row["step"] for stage in placed for row in stage.run.train[-1:]))
    for number, stage in enumerate(placed):
        if stage.began:
            axes.axvline(stage.began, color=_colour(number), linewidth=0.8, alpha=0.5)


def averaged(rows: Sequence[Row], points: int) -> list[Row]:
    """Means of neighbouring rows, so that at most `points` are left."""
    size = -(-len(rows) // points)
    groups = [rows[start : start + size] for start in range(0, len(rows), size or 1)]
    return [{key: sum(row[key] for row in group) / len(group) for key in ("step", "loss")} for group in groups]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 for what the user can mend."""
    parser = argparse.ArgumentParser(prog="python -m jscc.curves", description="Validation PSNR and loss of trainings")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="a folder with run.json, train.csv, val.csv")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="a picture: .svg, .png or .pdf")
    args = parser.parse_args(arguments)
    return exit_code(lambda: draw([read_run(folder) for folder in args.runs], args.out))


if __name__ == "__main__":
    sys.exit(main())
