import math

import pytest

from center.decode.batcher import Batcher
from center.decode.forecast import KINDS, LEAD, MOST_LEAD, Forecast
from tests.center.decode.test_batcher import Task


def learned(seconds: float, kind: object = 1) -> Forecast:
    forecast = Forecast()
    forecast.start(kind, 0.0)
    forecast.end(0.0, seconds)
    return forecast


def test_nothing_is_forecast_before_a_batch_of_that_kind_was_timed() -> None:
    forecast = learned(0.02)
    assert forecast.soon_at == math.inf, "the decoder is idle"
    forecast.start(2, 1.0)
    assert forecast.soon_at == math.inf
    forecast.end(1.0, 1.04)
    forecast.start(2, 2.0)
    assert forecast.soon_at == pytest.approx(2.04 - LEAD * 0.04)


def test_times_of_few_kinds_are_kept_those_of_late() -> None:
    forecast = learned(0.02, "first")
    for number in range(KINDS):
        forecast.start(number, 1.0)
        forecast.end(1.0, 1.02)
    forecast.start("first", 2.0)
    assert forecast.soon_at == math.inf
    forecast.give_up()
    forecast.start(0, 2.0)
    assert forecast.soon_at == pytest.approx(2.02 - LEAD * 0.02)


def test_a_long_batch_does_not_make_the_lead_long() -> None:
    forecast = learned(1.0)
    forecast.start(1, 5.0)
    assert forecast.soon_at == pytest.approx(6.0 - MOST_LEAD)


def test_one_slow_batch_changes_nothing() -> None:
    forecast = learned(0.02)
    for at, seconds in enumerate((0.02, 0.5, 0.02), start=1):
        forecast.start(1, float(at))
        forecast.end(at, at + seconds)
    forecast.start(1, 9.0)
    assert forecast.soon_at == pytest.approx(9.02 - LEAD * 0.02)


def test_a_batch_that_was_handed_over_early_begins_when_the_one_before_ends() -> None:
    forecast = learned(0.02)
    forecast.start(1, 1.0)
    forecast.start(1, 1.018)
    assert forecast.soon_at == math.inf, "one ahead is enough"
    forecast.end(1.0, 1.025)
    assert forecast.soon_at == pytest.approx(1.025 + 0.0225 - LEAD * 0.0225)


def test_what_failed_teaches_nothing() -> None:
    forecast = learned(0.02)
    forecast.start(1, 1.0)
    forecast.give_up()
    forecast.start(1, 2.0)
    assert forecast.soon_at == pytest.approx(2.02 - LEAD * 0.02)


def test_a_batch_is_handed_over_in_time_and_no_sooner() -> None:
    queue: Batcher[Task] = Batcher(max_size=2, max_delay=9.0, capacity=8)
    queue.push(Task(0.0))
    assert queue.deadline(in_flight=1, soon_at=5.0) == 5.0
    assert queue.take(now=4.9, in_flight=1, soon_at=5.0) == []
    newer = Task(4.95)
    queue.push(newer)
    assert queue.take(now=5.0, in_flight=2, soon_at=5.0) == []
    assert queue.take(now=5.0, in_flight=1, soon_at=5.0) == [newer]
