"""A view that is alone is asked to come again: when, and how often."""

from center.ingest.reunion import LONGEST, Reunion


def asked(reunion: Reunion, connected: int, seconds: range) -> list[int]:
    return [now for now in seconds if reunion.is_due(connected, float(now))]


def test_a_view_that_stays_alone_is_asked_ever_more_rarely() -> None:
    reunion = Reunion(10.0)
    assert asked(reunion, 1, range(0, 160)) == [10, 30, 70, 150]
    waits = asked(reunion, 1, range(160, 10_000))
    assert waits[-1] - waits[-2] == LONGEST


def test_a_view_that_comes_again_to_the_same_center_starts_no_new_count() -> None:
    reunion = Reunion(10.0)
    assert asked(reunion, 1, range(0, 11)) == [10]
    assert asked(reunion, 0, range(11, 13)) == []
    assert asked(reunion, 1, range(13, 40)) == [30]


def test_two_views_end_it() -> None:
    reunion = Reunion(10.0)
    asked(reunion, 1, range(0, 100))
    assert asked(reunion, 2, range(100, 200)) == []
    assert asked(reunion, 1, range(200, 215)) == [210]


def test_it_is_off_where_there_is_one_center() -> None:
    assert asked(Reunion(0.0), 1, range(0, 10_000)) == []
