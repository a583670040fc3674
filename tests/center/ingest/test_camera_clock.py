import math

import pytest

from center.ingest.camera_clock import CameraClock

HOUR = 3600.0


def test_a_good_clock_is_believed() -> None:
    clock = CameraClock(hello_gap=0.02)
    assert clock.correct(captured_at=100.0, arrived_at=100.05) == 100.0
    assert clock.correct(captured_at=101.0, arrived_at=101.9) == 101.0, "a late frame is late"


@pytest.mark.parametrize("off", [-HOUR, HOUR])
def test_a_clock_that_is_plainly_off_is_corrected(off: float) -> None:
    clock = CameraClock(hello_gap=-off + 0.01)
    assert clock.correct(captured_at=100.0 + off, arrived_at=100.05) == pytest.approx(100.01)


def test_an_old_hello_that_an_emulator_repeats_changes_nothing() -> None:
    clock = CameraClock(hello_gap=600.0)
    assert clock.correct(captured_at=100.0, arrived_at=100.05) == 100.0


def test_a_frame_from_the_future_corrects_the_clock() -> None:
    clock = CameraClock(hello_gap=0.0)
    clock.correct(captured_at=100.0, arrived_at=100.1)
    assert clock.correct(captured_at=100.2 + HOUR, arrived_at=100.3) == pytest.approx(100.2)
    assert clock.correct(captured_at=100.3 + HOUR, arrived_at=100.45) == pytest.approx(100.3)


@pytest.mark.parametrize("back", [0.2, 0.6, 2.0, HOUR])
def test_a_clock_that_is_set_back_while_frames_flow_is_corrected(back: float) -> None:
    clock = CameraClock(hello_gap=0.0)
    clock.correct(captured_at=100.0, arrived_at=100.1)
    assert clock.correct(captured_at=100.1 - back, arrived_at=100.2) == pytest.approx(100.1)
    assert clock.correct(captured_at=100.2 - back, arrived_at=100.35) == pytest.approx(100.2)


@pytest.mark.parametrize("back", [0.6, 2.0])
def test_a_clock_that_is_set_back_and_put_right_again_is_followed(back: float) -> None:
    clock = CameraClock(hello_gap=0.0)
    clock.correct(captured_at=100.0, arrived_at=100.1)
    clock.correct(captured_at=100.1 - back, arrived_at=100.2)
    assert clock.correct(captured_at=100.2, arrived_at=100.3) == pytest.approx(100.2)
    assert clock.correct(captured_at=100.3, arrived_at=100.42) == pytest.approx(100.3)


def test_delay_that_grows_and_shrinks_is_no_clock_that_moves() -> None:
    clock = CameraClock(hello_gap=0.0)
    for captured_at, delay in ((100.0, 0.05), (100.1, 0.9), (100.2, 0.81), (100.3, 0.72), (101.0, 0.03)):
        assert clock.correct(captured_at, captured_at + delay) == captured_at


def test_one_wild_time_does_not_spoil_those_that_follow() -> None:
    clock = CameraClock(hello_gap=0.0)
    clock.correct(captured_at=100.0, arrived_at=100.1)
    clock.correct(captured_at=9e9, arrived_at=100.2)
    assert clock.correct(captured_at=100.2, arrived_at=100.3) == pytest.approx(100.2)


def test_when_both_clocks_are_set_back_together_nothing_is_corrected() -> None:
    clock = CameraClock(hello_gap=0.0)
    clock.correct(captured_at=HOUR, arrived_at=HOUR + 0.1)
    assert clock.correct(captured_at=100.0, arrived_at=100.1) == pytest.approx(100.0)


def test_our_own_clock_that_is_set_back_and_forth_leaves_no_trace() -> None:
    clock = CameraClock(0.0)
    for captured_at, arrived_at in ((100.0, 100.05), (100.25, 98.30), (100.5, 98.55)):
        assert arrived_at - clock.correct(captured_at, arrived_at) == pytest.approx(0.05)
    assert 100.80 - clock.correct(100.75, 100.80) == pytest.approx(0.05)


@pytest.mark.parametrize("ahead", [0.1, 0.3, 0.9])
def test_a_clock_that_is_a_little_ahead_is_corrected_within_two_seconds(ahead: float) -> None:
    clock = CameraClock(hello_gap=-ahead)
    delays = [0.02 + 0.01 * (frame % 3) for frame in range(40)]
    told = [clock.correct(frame / 10 + ahead, frame / 10 + delay) for frame, delay in enumerate(delays)]
    for frame in range(20, 40):
        assert told[frame] == pytest.approx(frame / 10 + 0.02), "the fastest frame is taken to have come at once"


def test_a_clock_that_gains_is_followed() -> None:
    clock, gain = CameraClock(0.0), 200e-6
    for frame in range(36_000):  # an hour at 10 a second: 0.72 s in all
        now = frame / 10
        told = clock.correct(now * (1 + gain), now + 0.01)
        assert -0.08 < now - told < 0.08


def test_the_gap_shows_a_clock_that_falls_behind() -> None:
    clock = CameraClock(0.0)
    assert math.isnan(clock.gap)
    for frame in range(1_000):
        jitter = 0.05 * (frame % 2)
        clock.correct(captured_at=frame / 10 - 1e-3 * frame / 10, arrived_at=frame / 10 + 0.01 + jitter)
    assert clock.gap == pytest.approx(0.01 + 0.1, abs=0.011)


@pytest.mark.parametrize("waited", [1.04, 1.4, 2.5])
def test_a_hello_that_waited_for_a_center_that_stood_still_says_nothing_of_the_clock(waited: float) -> None:
    """The frames after it come at once: it is no clock that is a second off, whose instants would be wrong by that."""
    clock = CameraClock(waited, period=0.5)
    for sequence in range(10):
        captured_at = 100.0 + 0.5 * sequence
        assert clock.correct(captured_at, captured_at + 0.06) == pytest.approx(captured_at)


def test_a_clock_that_is_behind_is_so_by_the_smaller_of_both_gaps_at_most() -> None:
    clock = CameraClock(5.6, period=0.1)
    assert clock.correct(100.0, 105.05) == pytest.approx(105.05)
