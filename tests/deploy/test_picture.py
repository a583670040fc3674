"""A dashboard drawn without Grafana."""

from deploy.observe.panels import Panel
from deploy.observe.picture import readable


def test_a_share_is_drawn_in_percent_with_its_limit() -> None:
    panel, curves = readable(Panel("stat", "both views", "percentunit", (), bad=0.8), [("demo", [0.0], [0.95])])
    assert (panel.title, panel.bad) == ("both views [%]", 80.0)
    assert curves == [("demo", [0.0], [95.0])]


def test_a_bare_number_has_no_unit() -> None:
    panel, curves = readable(Panel("stat", "alerts", "short", ()), [("", [0.0], [2.0])])
    assert (panel.title, panel.bad) == ("alerts", None)
    assert curves == [("", [0.0], [2.0])]
