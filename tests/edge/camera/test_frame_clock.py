import pytest

from edge.camera.frame_clock import FrameClock, FrameRateLimiter

NOW = 1_780_000_000_123_456_789


@pytest.mark.parametrize("rate", [0.1, 1.0, 10.0, 24.0, 29.97, 30.0, 120.0])
def test_a_tick_happens_at_its_own_time(rate: float) -> None:
    ticks = FrameClock(rate)
    for tick in range(ticks.at(NOW), ticks.at(NOW) + 50):
        assert ticks.at(ticks.time_ns(tick)) == tick
        assert ticks.at(ticks.time_ns(tick) - 1) == tick - 1
        assert ticks.nearest(ticks.time_ns(tick) + ticks.period_ns // 3) == tick
        assert ticks.nearest(ticks.time_ns(tick) - ticks.period_ns // 3) == tick


def test_tick_k_is_the_floor_of_time_times_rate() -> None:
    assert FrameClock(10).at(NOW) == 17_800_000_001
    assert FrameClock(10).time_ns(17_800_000_001) == 1_780_000_000_100_000_000


def test_waking_a_moment_early_does_not_repeat_a_tick() -> None:
    ticks = FrameClock(10)
    tick = ticks.at(NOW)
    assert ticks.after(ticks.time_ns(tick) - 1, last=tick - 1) == tick
    assert ticks.after(ticks.time_ns(tick) - 1, last=tick) == tick + 1


def test_after_a_stall_missed_ticks_are_skipped() -> None:
    assert FrameClock(10).after(NOW, last=3) == FrameClock(10).at(NOW) + 1


def test_a_clock_that_was_set_back_is_followed() -> None:
    assert FrameClock(10).after(NOW, last=FrameClock(10).at(NOW) + 36_000) == FrameClock(10).at(NOW) + 1


@pytest.mark.parametrize(
    ("delivered", "wanted", "passed"), [(30, 10, 100), (30, 30, 300), (10, 30, 100), (25, 10, 100)]
)
def test_a_fast_camera_is_thinned_and_a_slow_one_is_not(delivered: int, wanted: int, passed: int) -> None:
    thinning = FrameRateLimiter(wanted)
    seconds = 10
    accepted = sum(thinning.accepts(1e9 + n / delivered) for n in range(seconds * delivered))
    assert abs(accepted - passed) <= 1


def test_jitter_of_a_camera_at_the_wanted_rate_costs_no_frame() -> None:
    thinning = FrameRateLimiter(30)
    assert all(thinning.accepts(100 + n / 30 + (0.01 if n % 2 else 0.0)) for n in range(300))


def test_a_live_camera_goes_on_when_the_clock_is_set_back() -> None:
    thinning = FrameRateLimiter(10)
    assert thinning.accepts(5000.0)
    assert [thinning.accepts(1400.0 + n / 30) for n in range(7)] == [True, False, True, False, False, True, False]
