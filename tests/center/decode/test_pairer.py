"""Every story that two cameras can tell, without a clock."""

from dataclasses import dataclass

import numpy as np
import pytest

from center.decode.pairer import MOST_WAITING, NEVER_PAIRS, DroppedLate, Outcome, Paired, Pairer, Repeated, Single
from wire.views import View

PERIOD = 1 / 30
TOLERANCE = PERIOD / 2
PATIENCE = 0.040


@dataclass(frozen=True)
class Seen:
    view: View
    sequence: int
    captured_at: float
    arrived_at: float


def left(sequence: int, captured_at: float, arrived_at: float | None = None) -> Seen:
    return Seen(View.LEFT, sequence, captured_at, captured_at if arrived_at is None else arrived_at)


def right(sequence: int, captured_at: float, arrived_at: float | None = None) -> Seen:
    return Seen(View.RIGHT, sequence, captured_at, captured_at if arrived_at is None else arrived_at)


@pytest.fixture
def pairer() -> Pairer[Seen]:
    """Both cameras are connected."""
    made: Pairer[Seen] = Pairer(TOLERANCE, PATIENCE, silence=1.0)
    for view in View:
        made.connect(view, now=0.0, restarted=True)
    return made


def test_two_frames_of_one_instant_are_a_pair(pairer: Pairer[Seen]) -> None:
    assert pairer.push(left(1, 0.000)) == []
    assert pairer.push(right(1, 0.010)) == [Paired(left(1, 0.000), right(1, 0.010))]


def test_a_pair_puts_left_first_whoever_came_first(pairer: Pairer[Seen]) -> None:
    pairer.push(right(1, 0.0))
    assert pairer.push(left(1, 0.0)) == [Paired(left(1, 0.0), right(1, 0.0))]


def test_the_order_of_arrival_does_not_matter(pairer: Pairer[Seen]) -> None:
    pairer.push(left(1, 0.000, arrived_at=0.05))
    pairer.push(left(2, 0.033, arrived_at=0.06))
    assert pairer.push(right(1, 0.001, arrived_at=0.07)) == [
        Paired(left(1, 0.000, arrived_at=0.05), right(1, 0.001, arrived_at=0.07))
    ]
    assert pairer.push(right(2, 0.034, arrived_at=0.08)) == [
        Paired(left(2, 0.033, arrived_at=0.06), right(2, 0.034, arrived_at=0.08))
    ]


def test_a_frame_whose_partner_never_comes_is_released_alone(pairer: Pairer[Seen]) -> None:
    assert pairer.push(left(1, 0.0)) == []
    assert pairer.deadline == pytest.approx(0.040)
    assert pairer.expire(now=0.039) == []
    assert pairer.expire(now=0.041) == [Single(left(1, 0.0), awaited=True)]
    assert pairer.deadline == float("inf")


def test_nothing_waits_longer_than_the_other_camera_needs_to_pass_its_instant(pairer: Pairer[Seen]) -> None:
    pairer.push(left(1, 0.000))
    assert pairer.push(right(2, 0.033)) == [Single(left(1, 0.000), awaited=True)]
    assert pairer.push(left(2, 0.034)) == [Paired(left(2, 0.034), right(2, 0.033))]


def test_a_frame_between_two_of_the_other_view_is_released_at_once(pairer: Pairer[Seen]) -> None:
    pairer.push(left(2, 0.100))
    assert pairer.push(right(1, 0.050)) == [Single(right(1, 0.050), awaited=True)]
    assert pairer.push(right(2, 0.101)) == [Paired(left(2, 0.100), right(2, 0.101))]


def test_the_partner_of_a_frame_that_was_shown_alone_is_too_late(pairer: Pairer[Seen]) -> None:
    pairer.push(left(1, 0.000))
    pairer.expire(now=0.041)
    assert pairer.push(right(1, 0.001, arrived_at=0.042)) == [DroppedLate(right(1, 0.001, arrived_at=0.042))]
    assert pairer.push(left(2, 0.033, arrived_at=0.045)) == []
    assert len(pairer.push(right(2, 0.034, arrived_at=0.046))) == 1


def test_nothing_older_than_what_was_shown_comes_out(pairer: Pairer[Seen]) -> None:
    pairer.push(left(9, 1.000))
    pairer.expire(now=1.041)
    backlog = [right(number, number * 0.1, arrived_at=1.05) for number in range(1, 10)]
    assert [pairer.push(frame) for frame in backlog] == [[DroppedLate(frame)] for frame in backlog]


def test_when_the_clock_of_a_host_is_set_back_pairs_go_on(pairer: Pairer[Seen]) -> None:
    pairer.push(left(1, 5000.0))
    pairer.push(right(1, 5000.0))
    pairer.push(left(2, 5000.1))
    assert pairer.push(left(3, 1400.2)) == [Single(left(2, 5000.1))]
    pairer.push(right(2, 5000.2, arrived_at=1400.2))  # was captured before, comes after
    pairer.expire(now=1400.3)
    pairer.push(right(3, 1400.3))
    out = [outcome for n in range(4, 8) for made in (left, right) for outcome in pairer.push(made(n, 1400.0 + n / 10))]
    assert [type(outcome) for outcome in out[-4:]] == [Paired] * 4


def test_a_view_that_is_not_connected_is_not_waited_for(pairer: Pairer[Seen]) -> None:
    pairer.disconnect(View.RIGHT)
    assert pairer.push(left(1, 0.0)) == [Single(left(1, 0.0))]


def test_when_a_camera_goes_the_other_one_is_released_at_once(pairer: Pairer[Seen]) -> None:
    pairer.push(left(1, 0.000))
    pairer.push(left(2, 0.033))
    assert pairer.disconnect(View.RIGHT) == [Single(left(1, 0.000)), Single(left(2, 0.033))]


def test_the_last_frame_of_a_camera_that_went_may_still_be_paired(pairer: Pairer[Seen]) -> None:
    pairer.push(left(1, 0.0))
    assert pairer.disconnect(View.LEFT) == []
    assert pairer.push(right(1, 0.0)) == [Paired(left(1, 0.0), right(1, 0.0))]
    assert pairer.push(right(2, 0.033)) == [Single(right(2, 0.033))]


def test_a_camera_that_fell_silent_is_not_waited_for_until_it_speaks_again(pairer: Pairer[Seen]) -> None:
    pairer.push(right(1, 0.0))
    pairer.push(left(1, 0.0))
    assert pairer.push(left(2, 0.9)) == []
    assert pairer.push(left(3, 1.1)) == [Single(left(2, 0.9)), Single(left(3, 1.1))]
    assert pairer.push(right(2, 1.2)) == []
    assert pairer.push(left(4, 1.2)) == [Paired(left(4, 1.2), right(2, 1.2))]


def test_a_camera_is_not_silent_between_its_frames_however_slow_it_is(pairer: Pairer[Seen]) -> None:
    out: list[Outcome[Seen]] = []
    for number in range(1, 6):
        at = 25.0 * number + 0.3 * (number % 2)
        out = pairer.push(left(number, at, arrived_at=at)) + pairer.push(right(number, at, arrived_at=at))
    assert [type(outcome) for outcome in out] == [Paired]
    assert pairer.push(left(6, 185.0)) == [], "both have rested alike"
    assert pairer.push(left(7, 210.0)) == [Single(left(6, 185.0)), Single(left(7, 210.0))]


def test_the_first_frames_after_a_rest_of_both_cameras_are_a_pair(pairer: Pairer[Seen]) -> None:
    for number, at in enumerate((0.0, 0.1, 0.2, 9.0, 9.1, 30.0), start=1):
        pairer.push(left(number, at, arrived_at=at))
        found = pairer.push(right(number, at, arrived_at=at + 0.01))
        assert [type(outcome) for outcome in found] == [Paired]


def test_the_first_frames_of_cameras_that_said_hello_long_ago_are_a_pair(pairer: Pairer[Seen]) -> None:
    assert pairer.push(left(1, 5.0)) == [], "as long as this one has been silent, the other one may be"
    assert pairer.push(right(1, 5.01)) == [Paired(left(1, 5.0), right(1, 5.01))]


def test_a_camera_that_never_sent_is_not_waited_for_by_one_that_comes_later(pairer: Pairer[Seen]) -> None:
    pairer.disconnect(View.LEFT)
    pairer.connect(View.LEFT, now=9.9, restarted=True)
    assert pairer.push(left(1, 10.0)) == [Single(left(1, 10.0))]


def test_a_repeated_or_swapped_sequence_is_told(pairer: Pairer[Seen]) -> None:
    pairer.push(left(5, 0.0))
    assert pairer.push(left(5, 0.0)) == [Repeated(left(5, 0.0), newest=5)]
    assert pairer.push(left(4, 0.1)) == [Repeated(left(4, 0.1), newest=5)]


def test_after_a_restart_sequences_count_anew(pairer: Pairer[Seen]) -> None:
    pairer.push(left(500, 0.0))
    pairer.push(right(500, 0.0))
    pairer.disconnect(View.LEFT)
    pairer.connect(View.LEFT, now=5.0, restarted=True)
    assert pairer.push(left(1, 5.0)) == []
    assert pairer.push(right(501, 5.1)) == [Single(left(1, 5.0), awaited=True)]
    assert pairer.push(left(2, 5.1)) == [Paired(left(2, 5.1), right(501, 5.1))]


def test_after_a_reconnect_sequences_go_on(pairer: Pairer[Seen]) -> None:
    pairer.push(left(5, 0.0))
    pairer.disconnect(View.LEFT)
    pairer.connect(View.LEFT, now=0.1, restarted=False)
    assert pairer.push(left(5, 0.0, arrived_at=0.1)) == [Repeated(left(5, 0.0, arrived_at=0.1), newest=5)]


def test_the_nearest_of_two_candidates_is_taken(pairer: Pairer[Seen]) -> None:
    pairer.push(left(1, 0.000))
    pairer.push(left(2, 0.009))
    assert pairer.push(right(1, 0.010)) == [
        Single(left(1, 0.000), awaited=True),
        Paired(left(2, 0.009), right(1, 0.010)),
    ]


def test_the_tolerance_is_inclusive_and_counts_from_its_change_on(pairer: Pairer[Seen]) -> None:
    pairer.tolerance = 0.25
    pairer.push(left(1, 0.0))
    assert pairer.push(right(1, 0.25)) == [Paired(left(1, 0.0), right(1, 0.25))]
    pairer.tolerance = 0.125
    pairer.push(left(2, 1.0))
    assert pairer.push(right(2, 1.25)) == [Single(left(2, 1.0), awaited=True)]


def test_a_slow_camera_is_paired_with_every_other_frame_of_a_fast_one(pairer: Pairer[Seen]) -> None:
    out: list[Outcome[Seen]] = []
    for number in range(10):
        out += pairer.push(left(number + 1, number * PERIOD))
        if number % 2 == 0:
            out += pairer.push(right(number + 1, number * PERIOD))
    assert [type(outcome) for outcome in out] == [Paired, *([Single, Paired] * 4)]


def test_cameras_half_a_period_apart_still_pair(pairer: Pairer[Seen]) -> None:
    out: list[Outcome[Seen]] = []
    for number in range(10):
        out += pairer.push(left(number + 1, number * PERIOD))
        out += pairer.push(right(number + 1, number * PERIOD + 0.99 * TOLERANCE))
    assert [type(outcome) for outcome in out] == [Paired] * 10


def test_however_patient_only_a_few_wait() -> None:
    pairer: Pairer[Seen] = Pairer(TOLERANCE, patience=1e9)
    pairer.connect(View.RIGHT, now=0.0, restarted=True)
    out = [outcome for number in range(20) for outcome in pairer.push(left(number + 1, number * PERIOD))]
    frames = [left(number + 1, number * PERIOD) for number in range(20 - MOST_WAITING)]
    assert out == [Single(frame, awaited=number < NEVER_PAIRS) for number, frame in enumerate(frames)]


def test_a_rig_that_never_pairs_awaits_no_partner_until_it_pairs_again(pairer: Pairer[Seen]) -> None:
    awaited = []
    for number in range(1, NEVER_PAIRS + 3):
        at = number * PERIOD
        pairer.push(left(number, at))
        awaited += [outcome.awaited for outcome in pairer.expire(at + 0.041) if isinstance(outcome, Single)]
        pairer.push(right(number, at, arrived_at=at + 0.042))  # it comes, always too late
    assert awaited == [True] * NEVER_PAIRS + [False] * 2
    pairer.push(left(50, 0.5))
    assert pairer.push(right(50, 0.5)) == [Paired(left(50, 0.5), right(50, 0.5))]
    pairer.push(left(51, 0.533))
    assert pairer.expire(0.6) == [Single(left(51, 0.533), awaited=True)]


def test_the_skew_tells_which_view_takes_longer(pairer: Pairer[Seen]) -> None:
    assert np.isnan(pairer.skew)
    pairer.push(left(1, 0.0, arrived_at=0.3))
    pairer.push(right(1, 0.0, arrived_at=0.1))
    assert pairer.skew == pytest.approx(0.2)


@pytest.mark.parametrize("seed", range(20))
def test_every_frame_comes_out_exactly_once_and_nothing_runs_backwards(seed: int) -> None:
    """Random losses, delays, skews and reconnects; each view arrives in order, as its stream does."""
    rng = np.random.default_rng(seed)
    pairer: Pairer[Seen] = Pairer(TOLERANCE, PATIENCE, silence=0.3)
    events: list[tuple[float, Seen]] = []
    for view, phase in ((View.LEFT, 0.0), (View.RIGHT, rng.uniform(-0.03, 0.03))):
        arrived = 0.0
        for number in range(1, 200):
            captured = 1.0 + number * PERIOD + phase + rng.normal(0.0, 0.002)
            arrived = max(arrived, captured + rng.gamma(1.5, 0.02))
            if rng.random() > 0.15:
                events.append((arrived, Seen(view, number, captured, arrived)))
    events.sort(key=lambda event: event[0])
    for view in View:
        pairer.connect(view, now=0.0, restarted=True)
    out: list[Outcome[Seen]] = []
    for now, frame in events:
        out += pairer.expire(now)
        if rng.random() < 0.02:
            out += pairer.disconnect(frame.view.other)
            pairer.connect(frame.view.other, now, restarted=False)
        out += pairer.push(frame)
    out += pairer.flush()

    came_out = [frame for outcome in out for frame in _frames(outcome)]
    assert sorted(came_out, key=_order) == sorted((frame for _, frame in events), key=_order)
    shown = [min(f.captured_at for f in _frames(o)) for o in out if isinstance(o, Paired | Single)]
    assert shown == sorted(shown)
    assert sum(isinstance(outcome, Paired) for outcome in out) > 50


def _frames(outcome: Outcome[Seen]) -> list[Seen]:
    return [outcome.left, outcome.right] if isinstance(outcome, Paired) else [outcome.frame]


def _order(frame: Seen) -> tuple[str, int]:
    return frame.view, frame.sequence
