"""The few words in which the dashboards are written; each makes a piece of Grafana's JSON."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Json = dict[str, Any]

COLUMNS: Final = 24
"""Width of Grafana's grid."""

DATASOURCE: Final[Json] = {"type": "prometheus", "uid": "vergence-prometheus"}
"""As provisioned in deploy/grafana/provisioning/datasources."""

RIG: Final = 'rig=~"$rig"'
"""The matcher of the dashboards' one variable."""

Unit = Literal["s", "ms", "dB", "Bps", "bytes", "percentunit", "fps", "short", "ops", "none"]


@dataclass(frozen=True, slots=True)
class Query:
    """One expression in PromQL, and the name of its curves."""

    expression: str
    legend: str = ""

    def json(self, position: int, instant: bool) -> Json:
        return {
            "refId": chr(ord("A") + position),
            "datasource": DATASOURCE,
            "expr": self.expression,
            "legendFormat": self.legend,
            "instant": instant,
            "range": not instant,
        }


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel without a place.

    kind     of Grafana's panels
    text     what it shows and what to think of it; appears at the panel's (i)
    bad      from here on it is red; for `good_is_high`, from here on it is green
    options  the panel's own, as Grafana names them
    custom   how a time series is drawn
    """

    kind: Literal["stat", "timeseries", "heatmap", "state-timeline"]
    title: str
    unit: Unit
    queries: Sequence[Query]
    text: str = ""
    bad: float | None = None
    good_is_high: bool = False
    options: Json = field(default_factory=dict)
    custom: Json = field(default_factory=dict)

    def json(self, number: int, place: Json) -> Json:
        defaults: Json = {"unit": self.unit, "custom": self.custom}
        if self.bad is not None:
            low, high = ("red", "green") if self.good_is_high else ("green", "red")
            steps = [{"color": low, "value": None}, {"color": high, "value": self.bad}]
            defaults |= {"thresholds": {"mode": "absolute", "steps": steps}, "color": {"mode": "thresholds"}}
            if self.kind == "timeseries":
                defaults |= {"color": {"mode": "palette-classic"}}
                defaults["custom"] = {**self.custom, "thresholdsStyle": {"mode": "dashed"}}
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.text,
            "datasource": DATASOURCE,
            "gridPos": place,
            "targets": [query.json(place, self.kind == "stat") for place, query in enumerate(self.queries)],
            "fieldConfig": {"defaults": defaults, "overrides": []},
            "options": self.options,
        }


def stat(
    title: str, unit: Unit, query: str, text: str, bad: float | None = None, *, good_is_high: bool = False
) -> Panel:
    """One large number, green or red."""
    options = {
        "colorMode": "background" if bad is not None else "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "auto",
        "wideLayout": True,
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    return Panel("stat", title, unit, [Query(query)], text, bad, good_is_high, options)


def curves(title: str, unit: Unit, *queries: Query, text: str = "", bad: float | None = None) -> Panel:
    """Curves over time; `bad` is drawn as a dashed line."""
    custom = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 0, "showPoints": "never", "spanNulls": False}
    return Panel("timeseries", title, unit, queries, text, bad, options=_LEGEND, custom=custom)


def layers(title: str, unit: Unit, *queries: Query, text: str = "") -> Panel:
    """Curves that add up."""
    custom = {
        "drawStyle": "line",
        "lineWidth": 0,
        "fillOpacity": 70,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal", "group": "A"},
    }
    return Panel("timeseries", title, unit, queries, text, options=_LEGEND, custom=custom)


def states(title: str, *queries: Query, text: str = "") -> Panel:
    """0 is green, 1 is red, over time."""
    options = {"showValue": "never", "rowHeight": 0.9, "mergeValues": True, "alignValue": "left", "legend": _HIDDEN}
    return Panel("state-timeline", title, "none", queries, text, bad=1.0, options={**options, "tooltip": _TOOLTIP})


def row(title: str, number: int, y: int) -> Json:
    """A headline across the grid."""
    place = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
    return {"id": number, "type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": place}


_TOOLTIP: Final[Json] = {"mode": "multi", "sort": "desc"}
_HIDDEN: Final[Json] = {"showLegend": False, "displayMode": "list", "placement": "bottom", "calcs": []}
_LEGEND: Final[Json] = {"legend": {**_HIDDEN, "showLegend": True}, "tooltip": _TOOLTIP}
