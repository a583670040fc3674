"""The dashboards as Grafana takes them."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from deploy.observe import boards
from deploy.observe.panels import COLUMNS, DATASOURCE, Json

GRAFANA = Path(__file__).resolve().parents[2] / "deploy" / "grafana"


@pytest.fixture(params=boards.BOARDS, ids=lambda board: board.uid)
def board(request: pytest.FixtureRequest) -> Json:
    shown: Json = request.param.json()
    return shown


def test_no_panel_hides_another_or_leaves_the_grid(board: Json) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= COLUMNS
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_panels_have_numbers_of_their_own_and_queries_letters(board: Json) -> None:
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(set(numbers)) == len(numbers)
    for panel in board["panels"]:
        letters = [target["refId"] for target in panel.get("targets", [])]
        assert len(set(letters)) == len(letters)


def test_every_panel_asks_the_data_source_that_is_provisioned(board: Json) -> None:
    provisioned = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text())
    assert provisioned["datasources"][0]["uid"] == DATASOURCE["uid"]
    assert json.dumps(board).count(f'"uid": "{DATASOURCE["uid"]}"') > len(board["panels"])


def test_the_dashboards_fit_grafanas_own_types() -> None:
    check = GRAFANA / "check"
    if shutil.which("npm") is None or not (check / "node_modules").is_dir():
        pytest.skip("Grafana's types are not installed; `npm ci --prefix deploy/grafana/check` brings them")
    done = subprocess.run(["npm", "run", "--silent", "check"], cwd=check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
