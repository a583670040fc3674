"""The pure cores: the credit window, the newest slot and the clock offset."""

import pytest

from edge.camera.newest import NewestSlot
from edge.uplink.clock import ClockOffset
from edge.uplink.credit import WIDEN_AFTER, CreditWindow


def test_a_window_is_closed_before_the_welcome() -> None:
    window = CreditWindow(3)
    assert not window.open
    with pytest.raises(ValueError, match="no credit for frame 1"):
        window.send(1, now=0.0)


@pytest.mark.parametrize(("ceiling", "granted", "size"), [(3, 2, 2), (2, 8, 2), (3, 0, 0)])
def test_the_smaller_of_ceiling_and_grant_counts(ceiling: int, granted: int, size: int) -> None:
    window = CreditWindow(ceiling)
    window.grant(granted)
    assert window.size == size


def test_frames_that_come_too_late_leave_fewer_on_their_way_until_they_come_in_time_again() -> None:
    window = CreditWindow(4)
    window.grant(8)
    sizes = []
    window.came(late=False, seconds=0.1)
    for _ in range(3):
        window.came(late=True, seconds=0.4)
        sizes.append(window.size)
    assert sizes == [2, 1, 1]
    for expected in (2, 3, 4, 4):
        for _ in range(WIDEN_AFTER):
            window.came(late=False, seconds=0.1)
        assert window.size == expected
    window.came(late=True, seconds=0.4)
    assert window.size == 2


def test_a_window_that_narrows_while_a_frame_is_made_lets_it_go() -> None:
    """Encoding takes long where the processor is busy, and then answers are late too."""
    window = CreditWindow(3)
    window.grant(3)
    window.came(late=False, seconds=0.1)
    window.send(1, now=0.0)
    window.send(2, now=0.1)
    assert window.open, "frame 3 is begun"
    assert window.acknowledge(1, now=0.5) is not None
    window.came(late=True, seconds=0.5)
    assert (window.size, window.in_use, window.open) == (1, 1, False)
    window.send(3, now=0.6)
    assert not window.open
    window.send(4, now=0.6)
    with pytest.raises(ValueError, match="no credit for frame 5: 3 of 3 are on their way"):
        window.send(5, now=0.6)


def test_a_long_way_is_no_narrow_one() -> None:
    """0.24 s there and back, all the time: what comes too late has waited here, for the answer to the frame before."""
    window = CreditWindow(3)
    window.grant(3)
    window.came(late=False, seconds=0.05)
    for _ in range(8):
        window.came(late=True, seconds=0.24)
    assert window.size == 1, "the way has become longer: nobody can tell at once whether frames wait on it"
    for _ in range(4 * WIDEN_AFTER):
        window.came(late=True, seconds=0.24)
    assert window.size == 3


def test_one_late_frame_starts_the_row_anew() -> None:
    window = CreditWindow(1 << 6)
    window.grant(1 << 6)
    window.came(late=False, seconds=0.1)
    window.came(late=True, seconds=0.4)
    for _ in range(3):
        for _ in range(WIDEN_AFTER - 1):
            window.came(late=False, seconds=0.1)
        window.came(late=True, seconds=0.4)
    assert window.size == 1 << 2


def test_a_link_that_grants_nothing_is_closed_however_frames_come() -> None:
    window = CreditWindow(3)
    window.came(late=True, seconds=0.4)
    assert (window.size, window.open) == (0, False)


def test_an_answer_gives_its_credit_back_whatever_the_order() -> None:
    window = CreditWindow(2)
    window.grant(2)
    window.send(1, now=1.0)
    window.send(2, now=2.0)
    assert not window.open
    assert window.acknowledge(2, now=2.5) == 0.5
    assert window.open
    assert window.overdue_at(3.0) == 4.0
    assert window.acknowledge(1, now=3.0) == 2.0
    assert window.overdue_at(3.0) is None


def test_a_frame_that_is_answered_twice_gives_no_second_credit() -> None:
    window = CreditWindow(1)
    window.grant(1)
    window.send(1, now=0.0)
    assert window.acknowledge(1, now=0.1) is not None
    assert window.acknowledge(1, now=0.2) is None
    assert window.in_use == 0


def test_what_is_unanswered_at_the_end_is_counted_and_forgotten() -> None:
    window = CreditWindow(2)
    window.grant(2)
    window.send(1, now=0.0)
    window.send(2, now=0.0)
    assert window.close() == 2
    assert not window.open
    window.grant(2)
    assert window.in_use == 0
    assert window.acknowledge(1, now=1.0) is None


def test_a_slot_keeps_the_newest_and_gives_it_once() -> None:
    slot = NewestSlot[str]()
    assert slot.take() is None
    assert slot.put("old") is None
    assert slot.put("new") == "old"
    assert slot.take() == "new"
    assert slot.take() is None


def test_the_shortest_round_trip_tells_the_clock_offset() -> None:
    clock = ClockOffset()
    assert clock.sample(0, 5_000_000_000, 2_000_000_000) == pytest.approx(3.0)  # 4, and 1 of it is uncertain
    assert clock.sample(10_000_000_000, 13_005_000_000, 10_010_000_000) == pytest.approx(2.995)
    assert clock.sample(20_000_000_000, 29_000_000_000, 24_000_000_000) == pytest.approx(2.995)


@pytest.mark.parametrize("received_ns", [0, 100_000_000, 1_700_000_000])
def test_a_slow_hello_is_no_clock_that_is_wrong(received_ns: int) -> None:
    """Of 1.7 s from question to answer, any part may have been the way there."""
    assert ClockOffset().sample(0, received_ns, 1_700_000_000) == pytest.approx(0.0, abs=1e-9)


def test_a_clock_that_is_behind_is_told_too() -> None:
    assert ClockOffset().sample(1_000_000_000, 905_000_000, 1_010_000_000) == pytest.approx(-0.095)


def test_old_samples_of_the_clock_are_forgotten() -> None:
    clock = ClockOffset()
    clock.sample(0, 0, 0)
    offsets = [clock.sample(0, 2_000_000_000, 1_000_000_000) for _ in range(8)]
    assert offsets[0] == 0.0
    assert offsets[-1] == pytest.approx(1.0)
