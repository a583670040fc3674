"""What is said again and again is said seldom."""

import logging

import pytest

from wire.runtime.log_throttle import OnChange, Throttle


def test_a_flood_of_warnings_becomes_one_line_that_says_so(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    throttle = Throttle(logging.getLogger(), interval=10.0, clock=lambda: now)
    for _ in range(100):
        throttle.warn("power", "too loud")
    throttle.warn("shape", "too wide")
    now = 10.0
    throttle.warn("power", "too loud")
    assert caplog.messages == ["too loud", "too wide", "too loud (99 more like this)"]
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    caplog.set_level(logging.INFO)
    throttle.warn("door", "come back later", logging.INFO)
    assert (caplog.messages[-1], caplog.records[-1].levelname) == ("come back later", "INFO")


def test_a_state_is_logged_when_it_changes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    said = OnChange(logging.getLogger())
    for key in ("down", "down", "up", "down"):
        said.log(logging.INFO, key, f"it is {key}")
    assert caplog.messages == ["it is down", "it is up", "it is down"]
