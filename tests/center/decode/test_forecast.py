import math

import pytest

from center.decode.batch_size import MOST
from center.decode.batcher import Batcher
from center.decode.forecast import KINDS, LEAD, MOST_LEAD, Forecast
from tests.center.decode.test_batcher import Task


def decode(forecast: Forecast, seconds: float, at: float = 0.0, kind: object = 1) -> None:
    """A batch is handed over and decoded at once."""
    forecast.end(forecast.start(kind, at), at, at + seconds)


def learned(seconds: float, kind: object = 1) -> Forecast:
    forecast = Forecast()
    decode(forecast, seconds, kind=kind)
    return forecast


def test_nothing_is_forecast_before_a_batch_of_that_kind_was_timed() -> None:
    forecast = learned(0.02)
    assert forecast.soon_at == math.inf, "the decoder is idle"
    started = forecast.start(2, 1.0)
    assert forecast.soon_at == math.inf
    forecast.end(started, 1.0, 1.04)
    forecast.start(2, 2.0)
    assert forecast.soon_at == pytest.approx(2.04 - LEAD * 0.04)


def test_times_of_few_kinds_are_kept_those_of_late() -> None:
    forecast = learned(0.02, "first")
    for number in range(KINDS):
        decode(forecast, 0.02, 1.0, number)
    assert forecast.usual(forecast.start("first", 2.0)) is None
    assert forecast.usual(forecast.start(0, 2.0)) == pytest.approx(0.02)


def test_the_batches_of_one_size_are_never_forgotten() -> None:
    forecast = Forecast()
    for at in range(100):
        for pairs in range(1, MOST + 1):
            started = forecast.start(pairs, float(at))
            assert (forecast.usual(started) is not None) is (at > 0)
            forecast.end(started, at, at + 0.02)


def test_kinds_have_their_own_times() -> None:
    """By those of both together a small pair after large ones would be expected to take as long as they did."""
    forecast = Forecast()
    for at in range(9):
        decode(forecast, 0.02, float(at), "small")
        decode(forecast, 0.8, at + 0.1, "large")
    started = forecast.start("small", 100.0)
    assert forecast.soon_at == pytest.approx(100.02 - LEAD * 0.02)
    forecast.end(started, 100.0, 100.02)
    forecast.start("large", 101.0)
    assert forecast.soon_at == pytest.approx(101.8 - MOST_LEAD)


def test_a_long_batch_does_not_make_the_lead_long() -> None:
    forecast = learned(1.0)
    forecast.start(1, 5.0)
    assert forecast.soon_at == pytest.approx(6.0 - MOST_LEAD)


def test_one_slow_batch_changes_nothing() -> None:
    forecast = learned(0.02)
    for at, seconds in enumerate((0.02, 0.5, 0.02), start=1):
        decode(forecast, seconds, float(at))
    forecast.start(1, 9.0)
    assert forecast.soon_at == pytest.approx(9.02 - LEAD * 0.02)


def test_a_batch_that_was_handed_over_early_begins_when_the_one_before_ends() -> None:
    forecast = learned(0.02)
    first = forecast.start(1, 1.0)
    forecast.start(1, 1.018)
    assert forecast.soon_at == math.inf, "one ahead is enough"
    forecast.end(first, 1.0, 1.025)
    assert forecast.soon_at == pytest.approx(1.025 + 0.0225 - LEAD * 0.0225)


def test_what_failed_teaches_nothing() -> None:
    forecast = learned(0.02)
    forecast.give_up(forecast.start(1, 1.0))
    forecast.start(1, 2.0)
    assert forecast.soon_at == pytest.approx(2.02 - LEAD * 0.02)


def test_batches_that_end_in_any_order_teach_their_own_times() -> None:
    """Of a decoder of several machines."""
    forecast = Forecast()
    large, small = forecast.start("large", 0.0), forecast.start("small", 0.0)
    forecast.end(small, 0.0, 0.02)
    forecast.end(large, 0.0, 0.8)
    assert (forecast.usual(small), forecast.usual(large)) == (0.02, 0.8)


def test_a_batch_that_counts_as_several_waits_until_all_of_them_are_there() -> None:
    forecast = Forecast()
    assert forecast.free(2, at_once=2) == (0, math.inf)
    small = forecast.start("small", 0.0)
    assert forecast.free(1, at_once=2) == (0, math.inf)
    assert forecast.free(2, at_once=2) == (1, math.inf), "another small one could end before it"
    beside = forecast.start("small", 0.0)
    assert forecast.free(1, at_once=2) == forecast.free(2, at_once=2) == (1, math.inf)
    forecast.start("large", 0.0, places=2)
    assert forecast.free(1, at_once=2) == (2, math.inf), "one waits in the decoder already"
    for each in (small, beside):
        forecast.end(each, 0.0, 0.1)
    assert forecast.free(1, at_once=2) == (1, math.inf), "it has all places, and nothing is known of its time yet"


def test_the_end_of_a_batch_that_has_all_places_is_forecast() -> None:
    forecast = Forecast()
    forecast.end(forecast.start("large", 0.0, places=2), 0.0, 0.2)
    forecast.start("large", 1.0, places=2)
    for places in (1, 2):
        assert forecast.free(places, at_once=2) == (1, pytest.approx(1.2 - MOST_LEAD))
    forecast.start("large", 1.195, places=2)
    assert forecast.free(2, at_once=2) == (2, math.inf)


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_of_equal_batches_as_many_are_worked_on_as_there_are_places(at_once: int) -> None:
    forecast = Forecast()
    for number in range(8):
        assert forecast.free(1, at_once)[0] == max(0, number + 1 - at_once)
        forecast.start(1, 0.0)


def test_a_batch_is_handed_over_in_time_and_no_sooner() -> None:
    queue: Batcher[Task] = Batcher(max_size=2, max_delay=9.0, capacity=8)
    queue.push(Task(0.0))
    assert queue.deadline(in_flight=1, soon_at=5.0) == 5.0
    assert queue.take(now=4.9, in_flight=1, soon_at=5.0) == []
    newer = Task(4.95)
    queue.push(newer)
    assert queue.take(now=5.0, in_flight=2, soon_at=5.0) == []
    assert queue.take(now=5.0, in_flight=1, soon_at=5.0) == [newer]
