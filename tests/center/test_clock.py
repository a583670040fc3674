import pytest

from center.clock import CameraClock

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
    assert clock.correct(captured_at=100.2 + HOUR, arrived_at=100.2) == pytest.approx(100.2)
    assert clock.correct(captured_at=100.3 + HOUR, arrived_at=100.35) == pytest.approx(100.3)
