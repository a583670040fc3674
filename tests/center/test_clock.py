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
