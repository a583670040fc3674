import pytest

from center.steady_clock import SteadyClock


def test_a_step_of_the_host_s_clock_moves_nothing_but_what_others_are_told() -> None:
    host = {"monotonic": 50.0, "unix": 1_000.0}
    clock = SteadyClock(lambda: host["monotonic"], lambda: host["unix"])
    assert clock.now() == 1_000.0
    host.update(monotonic=51.0, unix=1_003.0)
    assert clock.now() == 1_001.0
    assert clock.step == pytest.approx(2.0)
    assert clock.unix_ns(1_000.5) == 1_002_500_000_000


def test_it_begins_at_unix_time_and_grows() -> None:
    clock = SteadyClock()
    first = clock.now()
    assert clock.now() >= first
    assert abs(clock.step) < 1.0
