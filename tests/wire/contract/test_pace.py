"""How fast frames come, by a clock of the test's own."""

import pytest

from wire.contract.handshake import FRAME_RATES
from wire.contract.pace import LEAST_SECONDS, MOST_AT_ONCE, Pace


def paced(seconds: float, frames: int) -> Pace:
    """Frames that are so many seconds apart."""
    pace = Pace()
    for frame in range(frames):
        pace.count(frame * seconds)
    return pace


def test_the_fastest_camera_that_may_say_hello_is_not_too_fast() -> None:
    assert paced(1 / FRAME_RATES[1], 10 * MOST_AT_ONCE).complaint() == ""


def test_frames_at_once_are_borne_up_to_a_number() -> None:
    assert paced(0.0, MOST_AT_ONCE - 1).complaint() == ""
    assert paced(0.0, MOST_AT_ONCE).complaint() == "256 frames came within 0.8 s; send fewer a second"


def test_as_many_within_the_time_itself_are_not_too_fast() -> None:
    apart = LEAST_SECONDS / (MOST_AT_ONCE - 1)
    assert paced(apart * 1.001, MOST_AT_ONCE).complaint() == ""
    assert paced(apart * 0.999, MOST_AT_ONCE).complaint() != ""


def test_who_slows_down_again_is_forgiven() -> None:
    pace = paced(0.0, MOST_AT_ONCE)
    for frame in range(MOST_AT_ONCE):
        pace.count(1.0 + frame / 200)
    assert pace.complaint() == ""


def test_the_rate_is_of_the_last_three_seconds() -> None:
    assert paced(0.1, 101).rate(10.0) == 10.0
    assert paced(0.1, 101).rate(20.0) == 0.0


def test_the_rate_of_a_fast_camera_is_told_too() -> None:
    assert paced(1 / 240, 2000).rate(2000 / 240) == pytest.approx(240)
