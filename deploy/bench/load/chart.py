"""The chart of a load test: where a pair's time goes, and how old pairs are at each rate that was tried."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jscc.evaluate.extras import require


def draw(results: Sequence[dict[str, Any]], bare_ms: float, path: Path) -> None:
    """Draw runs of one load.

    results  of `command.measure`; the stages are those of the run that came last
    bare_ms  of a pair in the decoder alone
    path     ends with the format: .svg, .png
    raises   UserError if matplotlib is not installed
    """
    require("matplotlib", "drawing the chart")
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "vergence", "font.size": 9}):
        figure: Any = Figure(figsize=(9.0, 3.2), layout="constrained")
        stages, ages = figure.subplots(1, 2)
        last = results[-1]
        told = {name: each for name, each in last["stages_ms"].items() if math.isfinite(each["p50"])}
        for share, colour in (("p99", "lightgrey"), ("p95", "darkgrey"), ("p50", "C0")):  # the longest behind
            stages.barh(list(told), [each[share] for each in told.values()], color=colour, label=share)
        stages.invert_yaxis()
        stages.set(xlabel=f"ms in a stage, {last['rigs']} rigs x {last['rate']:g} pairs/s", xlim=(0, None))
        stages.legend(loc="best")
        runs = sorted(results, key=lambda each: float(each["rate"]))
        offered = [each["rigs"] * each["rate"] for each in runs]
        for share in ("p50", "p95", "p99"):
            ages.plot(offered, [each["age_ms"][share] for each in runs], "o-", label=share)
        ages.axhline(bare_ms, color="grey", linewidth=0.8, label="decoder alone")
        ages.set(xlabel="pairs/s offered", ylabel="capture to watcher, ms", ylim=(0, None))
        ages.legend(loc="best")
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
