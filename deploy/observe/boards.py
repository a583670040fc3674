"""Rows of panels to a dashboard, and the dashboards to their files: `python -m deploy.observe.boards`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.observe import engineer, operating
from deploy.observe.panels import COLUMNS, DATASOURCE, Json, Panel, row

FOLDER: Final = Path(__file__).resolve().parents[1] / "grafana" / "dashboards"


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard. uid: part of its address, for ever; rows: panels under a headline, of equal width."""

    uid: str
    title: str
    text: str
    rows: Mapping[str, Sequence[Panel]]

    @property
    def name(self) -> str:
        """Of its file."""
        return self.uid.removeprefix("vergence-")

    def json(self) -> Json:
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.text,
            "tags": ["vergence"],
            "schemaVersion": 39,
            "editable": False,
            "graphTooltip": 1,
            "refresh": "5s",
            "time": {"from": "now-15m", "to": "now"},
            "timezone": "browser",
            "templating": {"list": [_RIG]},
            "annotations": {"list": [_ALERTS]},
            "links": [_LINK],
            "panels": self._panels(),
        }

    def _panels(self) -> list[Json]:
        placed: list[Json] = []
        y = 0
        for headline, panels in self.rows.items():
            placed.append(row(headline, len(placed) + 1, y))
            y += 1
            width, height = COLUMNS // len(panels), 4 if panels[0].kind == "stat" else 8
            for column, panel in enumerate(panels):
                placed.append(panel.json(len(placed) + 1, {"x": column * width, "y": y, "w": width, "h": height}))
            y += height
        return placed


_RIG: Final[Json] = {
    "name": "rig",
    "label": "rig",
    "type": "query",
    "datasource": DATASOURCE,
    "query": {"query": "label_values(vergence_edge_captured_frames_total, rig)", "refId": "rig"},
    "refresh": 2,
    "includeAll": True,
    "multi": True,
    "allValue": ".*",
    "current": {"text": "All", "value": "$__all"},
}
_ALERTS: Final[Json] = {
    "name": "alerts",
    "datasource": DATASOURCE,
    "enable": True,
    "iconColor": "red",
    "expr": 'ALERTS{alertstate="firing"}',
    "titleFormat": "{{alertname}}",
}
_LINK: Final[Json] = {
    "title": "vergence",
    "type": "dashboards",
    "tags": ["vergence"],
    "asDropdown": False,
    "icon": "external link",
    "includeVars": True,
    "keepTime": True,
    "targetBlank": False,
    "tooltip": "",
    "url": "",
}

BOARDS: Final = (
    Board("vergence-operator", "vergence: is it well?", "Green is well. Red: see the alert's text.", operating.ROWS),
    Board(
        "vergence-engineer", "vergence: where does it go?", "Time, quality and losses, stage by stage.", engineer.ROWS
    ),
)


def files() -> dict[Path, str]:
    """What stands in deploy/grafana/dashboards."""
    return {FOLDER / f"{board.name}.json": _text(board) for board in BOARDS}


def _text(board: Board) -> str:
    return json.dumps(board.json(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path}")
