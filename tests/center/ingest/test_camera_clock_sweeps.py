"""Clocks that are set, put right and drift, with delays as networks have them: pairs stay pairs, ages stay right."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from center.decode.pairer import Paired, Pairer
from center.ingest.camera_clock import CameraClock
from wire.views import View

HEALTHY_WITHIN = 2.0
ClockError = Callable[[float], float]


@dataclass(frozen=True)
class Way:
    """Seconds from capture to arrival: never less than `least`, `jitter` more on average."""

    least: float
    jitter: float

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        return self.least + rng.exponential(self.jitter, count)


@dataclass(frozen=True)
class Seen:
    """What the center makes of a frame; `true` and `told` are its capture, on our clock."""

    view: View
    sequence: int
    captured_at: float
    arrived_at: float
    true: float


def watch(
    errors: dict[View, ClockError],
    *,
    rate: float = 10.0,
    seconds: float = 60.0,
    ways: tuple[Way, Way] = (Way(0.02, 0.01), Way(0.05, 0.015)),
    patience: float = 0.4,
) -> tuple[list[Seen], dict[int, float]]:
    """Every frame as it was seen, and the true capture of each instant of which both views made a pair."""
    count = round(seconds * rate)
    frames: list[tuple[float, View, int, float, float]] = []
    for view, way in zip(View, ways, strict=True):
        rng = np.random.default_rng([view.position, count])
        true = np.arange(count) / rate
        arrived = np.maximum.accumulate(true + way.draw(rng, count))  # one stream keeps the order
        frames += [
            (float(arrived[i]), view, i + 1, float(true[i]), float(true[i]) + errors[view](float(true[i])))
            for i in range(count)
        ]
    clocks = {view: CameraClock(-errors[view](0.0) + 0.01, 1.0 / rate) for view in View}
    pairer: Pairer[Seen] = Pairer(0.5 / rate, patience)
    for view in View:
        pairer.connect(view, 0.0, restarted=True)
    seen, paired = [], dict[int, float]()
    for arrived_at, view, sequence, captured, told in sorted(frames, key=lambda frame: frame[0]):
        frame = Seen(view, sequence, clocks[view].correct(told, arrived_at), arrived_at, captured)
        seen.append(frame)
        for outcome in [*pairer.expire(arrived_at), *pairer.push(frame)]:
            if isinstance(outcome, Paired):
                assert outcome.left.sequence == outcome.right.sequence or not _settled(captured), outcome
                if outcome.left.sequence == outcome.right.sequence:
                    paired[outcome.left.sequence] = outcome.left.true
    return seen, paired


SET_AT, RIGHT_AT = 20.0, 40.0


def _settled(at: float) -> bool:
    """Whether clocks that are set at 20 s and at 40 s should have been seen through."""
    return not any(step <= at < step + HEALTHY_WITHIN for step in (SET_AT, RIGHT_AT))


def steady(_: float) -> float:
    return 0.0


def set_and_put_right(step: float) -> ClockError:
    return lambda at: step if SET_AT <= at < RIGHT_AT else 0.0


def check(seen: list[Seen], paired: dict[int, float], rate: float, seconds: float = 60.0, share: float = 1.0) -> None:
    """Outside the two seconds after a step: all instants are pairs, and no age is off by more than the delay is."""
    wanted = [i + 1 for i in range(round(seconds * rate) - 2) if _settled(i / rate)]
    missing = [sequence for sequence in wanted if sequence not in paired]
    assert len(missing) <= (1.0 - share) * len(wanted), missing[:20]
    for frame in seen:
        if _settled(frame.true):
            assert abs(frame.captured_at - frame.true) <= max(0.06, frame.arrived_at - frame.true)


@pytest.mark.parametrize("rate", [5.0, 10.0, 30.0])
@pytest.mark.parametrize("step", [-3600.0, -2.0, -0.5, 0.5, 2.0, 3600.0])
@pytest.mark.parametrize("which", ["left", "right", "both"])
def test_a_camera_s_clock_that_is_set_and_put_right(rate: float, step: float, which: str) -> None:
    errors = {view: set_and_put_right(step) if which in ("both", str(view)) else steady for view in View}
    ways = (Way(0.02, 0.001), Way(0.03, 0.002)) if rate == 30.0 else (Way(0.02, 0.01), Way(0.05, 0.015))
    check(*watch(errors, rate=rate, ways=ways), rate)


@pytest.mark.parametrize(("left", "right"), [(100e-6, 0.0), (0.0, -100e-6), (100e-6, -100e-6), (-100e-6, 100e-6)])
def test_clocks_that_drift_for_an_hour(left: float, right: float) -> None:
    """They part by 0.36 or 0.72 s, many times the half period that makes a pair."""
    errors: dict[View, ClockError] = {View.LEFT: lambda at: left * at, View.RIGHT: lambda at: right * at}
    seen, paired = watch(errors, rate=5.0, seconds=3600.0, ways=(Way(0.02, 0.01), Way(0.05, 0.015)))
    check(seen, paired, 5.0, 3600.0, share=0.999)


@pytest.mark.parametrize("slower", [0.05, 0.2])
def test_a_way_that_becomes_longer_for_one_view_is_no_clock(slower: float) -> None:
    """Believed clocks are right to the microsecond: the slower view still pairs with its own instant."""
    rate, seconds = 10.0, 300.0
    left, right = CameraClock(0.01, 1 / rate), CameraClock(0.01, 1 / rate)
    rng = np.random.default_rng(1)
    for i in range(round(seconds * rate)):
        true = i / rate
        delay = 0.02 + rng.exponential(0.005) + (slower if true > 100.0 else 0.0)
        apart = left.correct(true, true + delay) - right.correct(true, true + 0.02 + rng.exponential(0.005))
        assert abs(apart) < 0.25 / rate


@pytest.mark.parametrize("back", [5.0, 20.0])
def test_a_clock_that_was_set_back_while_no_frame_came_is_found_by_the_credit(back: float) -> None:
    """Every other sign is missing: it looks like a long delay, for ever."""
    clock = CameraClock(0.01, 0.1)
    given: list[float] = []
    for i in range(40):
        true = i / 10 + (30.0 if i >= 20 else 0.0)
        told = clock.correct(
            true - (back if i >= 20 else 0.0), true + 0.05, 0.0, given[-3] if len(given) > 2 else -float("inf")
        )
        given.append(true + 0.05)
        if i >= 25:
            assert told == pytest.approx(true)
    assert clock.steps == 1


def test_frames_that_lay_in_the_network_are_as_old_as_they_are() -> None:
    """A stop of 20 s: three frames that used the credit from before it come with the first fresh one."""
    clock = CameraClock(0.01, 0.1)
    given: list[float] = []
    for i in range(20):
        clock.correct(i / 10, i / 10 + 0.05, 0.0, given[-3] if len(given) > 2 else -float("inf"))
        given.append(i / 10 + 0.05)
    for i in range(3):
        assert clock.correct(2.0 + i / 10, 22.0, 0.0, given[i - 3]) == pytest.approx(2.0 + i / 10)
    assert clock.correct(22.0, 22.06, 0.0, given[-1]) == pytest.approx(22.0)
    assert clock.steps == 0
