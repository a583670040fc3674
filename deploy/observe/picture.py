"""Draw a dashboard's panels from a live Prometheus, where no Grafana is at hand.

python -m deploy.observe.picture --prometheus http://127.0.0.1:9090 --board operator --out operator.png    (matplotlib)
"""

import argparse
import json
import re
import time
import urllib.parse
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from deploy.observe.boards import BOARDS, Board
from deploy.observe.panels import COLUMNS, Json, Panel
from wire.runtime.direct import open_url

Curve = tuple[str, list[float], list[float]]
STEP_SECONDS: Final = 5
_UNITS: Final = {"percentunit": (100.0, "%"), "short": (1.0, ""), "none": (1.0, "")}
"""Of Grafana's names of units that say nothing to a person: the factor, and what to write."""


def curves(prometheus: str, panel: Panel, minutes: float) -> list[Curve]:
    """Of each series: its name, minutes from now, values."""
    found = []
    for query in panel.queries:
        expression = query.expression.replace("$__rate_interval", "20s").replace("$rig", ".*")
        now = time.time()
        asked = {"query": expression, "start": now - 60 * minutes, "end": now, "step": STEP_SECONDS}
        url = f"{prometheus}/api/v1/query_range?{urllib.parse.urlencode(asked)}"
        with open_url(url, timeout=10) as answer:
            series = json.load(answer)["data"]["result"]
        for each in series:
            times, values = zip(*each["values"], strict=True)
            found.append((_legend(query.legend, each["metric"]), [(at - now) / 60 for at in times], _numbers(values)))
    return found


def _legend(legend: str, labels: Json) -> str:
    return re.sub(r"{{(\w+)}}", lambda match: str(labels.get(match[1], "")), legend)


def _numbers(values: Any) -> list[float]:
    return [float(value) for value in values]


def draw(prometheus: str, board: Board, minutes: float, out: Path) -> None:
    """All rows of a dashboard, each panel with its title, its unit and its limit."""
    from matplotlib import pyplot

    rows = list(board.rows.items())
    heights = [1.0 if panels[0].kind == "stat" else 2.4 for _, panels in rows]
    figure = pyplot.figure(figsize=(COLUMNS * 0.8, 1.5 * sum(heights)), layout="constrained")
    figure.suptitle(board.title)
    places: Any = figure.subfigures(len(rows), 1, height_ratios=heights)
    for (headline, panels), place in zip(rows, places, strict=True):
        place.suptitle(headline, x=0.01, ha="left", fontsize="small", color="grey")
        for axes, drawn in zip(place.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            panel, found = readable(drawn, curves(prometheus, drawn, minutes))
            axes.set_title(panel.title, fontsize="small")
            if panel.kind == "stat":
                _stat(axes, panel, found)
            else:
                _plot(axes, panel, found)
    figure.savefig(out, dpi=80)
    pyplot.close(figure)


def readable(panel: Panel, found: list[Curve]) -> tuple[Panel, list[Curve]]:
    """A panel and its curves in a unit that people know, which then stands in the title."""
    factor, unit = _UNITS.get(panel.unit, (1.0, panel.unit))
    bad = None if panel.bad is None else factor * panel.bad
    shown = [(name, times, [factor * value for value in values]) for name, times, values in found]
    return replace(panel, title=f"{panel.title} [{unit}]" if unit else panel.title, bad=bad), shown


def _stat(axes: Any, panel: Panel, found: list[Curve]) -> None:
    value = found[0][2][-1] if found else float("nan")
    good = panel.bad is None or (value >= panel.bad if panel.good_is_high else value < panel.bad)
    axes.set_axis_off()
    axes.text(0.5, 0.5, f"{value:.3g}", fontsize=22, ha="center", va="center", color="green" if good else "red")


def _plot(axes: Any, panel: Panel, found: list[Curve]) -> None:
    for name, times, values in found:
        axes.plot(times, values, linewidth=1, label=name or panel.title)
    if panel.bad is not None and panel.kind == "timeseries":
        axes.axhline(panel.bad, color="red", linestyle="--", linewidth=0.7)
    axes.tick_params(labelsize="x-small")
    axes.set_xlabel("minutes from now", fontsize="x-small")
    if found:
        axes.legend(fontsize="xx-small", loc="best")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", metavar="URL")
    parser.add_argument("--board", choices=[board.name for board in BOARDS], default="operator")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--out", type=Path, required=True, metavar="PNG")
    parsed = parser.parse_args()
    board = next(board for board in BOARDS if board.name == parsed.board)
    draw(parsed.prometheus, board, parsed.minutes, parsed.out)
    print(f"wrote {parsed.out}")


if __name__ == "__main__":
    main()
