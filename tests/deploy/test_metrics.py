"""The metrics' names match both ways: what is drawn or judged exists, and what exists is drawn or judged."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from deploy.observe import boards, catalogue

ROOT = Path(__file__).resolve().parents[2]
RULES = sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.yml"))
LABELS = {"rig", "view", "stage", "outcome", "reason"}
OURS = re.compile(r"\bvergence_[a-z0-9_]+")


def rules() -> Iterator[dict[str, Any]]:
    for path in RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


def drawn() -> Iterator[str]:
    """Every expression of the dashboards, with Grafana's variables filled in."""
    for board in boards.BOARDS:
        for panel in board.json()["panels"]:
            for target in panel.get("targets", []):
                yield target["expr"].replace("$__rate_interval", "20s").replace("$rig", ".*")


def expressions() -> list[str]:
    return [*drawn(), *(rule["expr"] for rule in rules())]


def selected(expression: str) -> set[str]:
    """Names of all series that an expression asks for."""
    names: set[str] = set()
    pending = [promql_parser.parse(expression)]
    while pending:
        node = pending.pop()
        if isinstance(node, promql_parser.VectorSelector):
            names.add(str(node.name))
        for part in ("expr", "lhs", "rhs", "vector_selector", "vs", "args"):
            inner = getattr(node, part, None)
            pending += inner if isinstance(inner, list) else [inner] if inner is not None else []
    return names


def existing() -> set[str]:
    """What can be asked for: the code's metrics, the recording rules, and Prometheus' own."""
    own = {name for metric in catalogue.metrics() for name in metric.queried}
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    process = {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"}
    return own | recorded | process | {"up", "ALERTS"}


def test_the_table_is_that_of_the_code() -> None:
    assert catalogue.TABLE.read_text(encoding="utf-8") == catalogue.table(), "run `make metrics`"


@pytest.mark.parametrize("path", boards.files(), ids=lambda path: path.name)
def test_the_dashboards_are_those_of_the_code(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == boards.files()[path], "run `make metrics`"


@pytest.mark.parametrize("expression", expressions())
def test_what_is_drawn_or_judged_exists(expression: str) -> None:
    asked = selected(expression)
    assert asked
    assert asked <= existing()


def test_what_exists_is_drawn_or_judged() -> None:
    asked = set().union(*(selected(expression) for expression in expressions()))
    unseen = {metric.name for metric in catalogue.metrics() if not metric.queried & asked}
    assert not unseen, "draw it or delete it"
    assert not {rule["record"] for rule in rules() if "record" in rule} - asked


def test_the_documentation_names_no_metric_that_is_not() -> None:
    known = existing() | {metric.name for metric in catalogue.metrics()}
    for path in [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]:
        named = {name for name in OURS.findall(path.read_text(encoding="utf-8")) if not name.endswith("_")}
        assert named <= known, path


def test_labels_are_bounded_and_units_are_base_units() -> None:
    for metric in catalogue.metrics():
        assert set(metric.labels) <= LABELS, metric.name
        assert not re.search(r"_(ms|milliseconds|percent|kilobytes|minutes|db)\b", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert metric.text, metric.name
