"""Which pictures a slow encoder gets, and that both edges of a rig choose the same ones."""

import bisect
import random
from collections.abc import Iterable

import pytest

from edge.camera.frame_clock import FrameClock
from edge.encode.thinning import CALM_FIRST, WINDOW, Thinning

START = 1_780_000_000 * 10**9


def slow(seconds: float, fps: float = 10.0) -> Thinning:
    """That of an edge whose pictures take so long to encode, and have for a while."""
    thinning = Thinning(fps)
    for _ in range(WINDOW):
        thinning.encoded(seconds)
    return thinning


def shutter(count: int, fps: float = 10.0, phase: float = 0.0) -> list[int]:
    """Capture times of a camera. phase: how long after the tick it takes its pictures, in periods"""
    ticks = FrameClock(fps)
    first = ticks.at(START)
    return [ticks.time_ns(tick) + round(phase * ticks.period_ns) for tick in range(first, first + count)]


def chosen(thinning: Thinning, captured: Iterable[int]) -> list[int]:
    return [at for at in captured if thinning.wanted(at)]


def missed(left: list[int], right: list[int], tolerance_ns: int) -> float:
    """Share of the instants of the left view that nobody at the right shares."""

    def shared(at: int) -> bool:
        place = bisect.bisect(right, at)
        return any(abs(at - other) <= tolerance_ns for other in right[max(0, place - 1) : place + 1])

    return 1.0 - sum(map(shared, left)) / len(left)


@pytest.mark.parametrize("phase", [0.0, 0.3, 0.5, 0.97])
def test_an_encoder_that_keeps_up_gets_every_picture(phase: float) -> None:
    rng = random.Random(1)
    thinning = Thinning(10)
    for at in shutter(2_000, phase=phase):
        assert thinning.wanted(at + rng.randrange(-20_000_000, 20_000_000))
        assert not thinning.encoded(rng.uniform(0.07, 0.1))
    assert thinning.factor == 1


@pytest.mark.parametrize(
    ("seconds", "factor"), [(0.1, 1), (0.11, 2), (0.2, 2), (0.21, 4), (0.31, 4), (0.41, 8), (3.0, 32)]
)
def test_of_so_many_pictures_as_pass_while_one_is_encoded_one_is_chosen(seconds: float, factor: int) -> None:
    thinning = slow(seconds)
    assert thinning.factor == factor
    ticks = FrameClock(10)
    assert [ticks.nearest(at) for at in chosen(thinning, shutter(64))] == [
        tick for at in shutter(64) if (tick := ticks.nearest(at)) % factor == 0
    ]


def test_a_few_slow_encodings_change_nothing() -> None:
    thinning = slow(0.05)
    for _ in range(WINDOW // 2):
        assert not thinning.encoded(2.0)
    for _ in range(100):
        assert not any(thinning.encoded(seconds) for seconds in [0.05] * 9 + [2.0])
    assert thinning.factor == 1


def test_when_encoding_is_fast_again_every_picture_is_chosen_again() -> None:
    thinning = slow(0.31)
    factors = [4, *(thinning.factor for _ in range(3 * CALM_FIRST) if thinning.encoded(0.05))]
    assert factors == [4, 2, 1]
    assert len(chosen(thinning, shutter(50))) == 50


def test_at_the_limit_it_does_not_go_to_and_fro() -> None:
    """Between 0.9 and 1 of the time that there is, what is goes on."""
    thinning, rng = slow(0.25), random.Random(2)
    assert not any(thinning.encoded(rng.uniform(0.19, 0.21)) for _ in range(2_000) if thinning.factor == 2)
    thinning = slow(0.21)
    assert not any(thinning.encoded(rng.uniform(0.185, 0.215)) for _ in range(2_000))


def test_an_encoder_that_is_fast_only_while_it_has_little_to_do_is_tried_ever_more_rarely() -> None:
    """Two edges and a center on the same cores: with every picture all three are slow."""
    thinning, changes = Thinning(10), 0
    for _ in range(10_000):
        changes += thinning.encoded(0.11 if thinning.factor == 1 else 0.06)
    assert changes <= 20


def test_edges_of_unequal_speed_meet_whenever_the_slower_one_sends() -> None:
    pictures = shutter(640, phase=0.4)
    fast, slower = (set(chosen(slow(seconds), pictures)) for seconds in (0.19, 0.21))
    assert len(slower) == 160
    assert slower < fast


@pytest.mark.parametrize("fps", [10, 29.97])
@pytest.mark.parametrize(("factor", "count"), [(2, 448), (4, 448), (128, 3_584)])
def test_live_cameras_pair_wherever_between_two_ticks_they_take_their_pictures(
    fps: float, factor: int, count: int
) -> None:
    """Were the border between ticks fixed, views on two sides of it would never pair, however near they are."""
    period = FrameClock(fps).period_ns
    for phase in (0.05 * step for step in range(20)):
        left, right = (chosen(slow(0.8 * factor / fps, fps), shutter(count, fps, at)) for at in (phase, phase + 0.05))
        assert missed(left, right, period // 2) <= 0.2, phase


def test_cameras_that_are_triggered_together_on_the_tick_miss_nothing() -> None:
    """Clips, drawn scenes, and cameras that NTP triggers, whose times are some ms off."""
    rng = random.Random(3)
    left, right = (
        chosen(slow(0.31), [at + rng.randrange(-6_000_000, 6_000_000) for at in shutter(1_000)]) for _ in range(2)
    )
    assert len(left) == len(right) == 250
    assert missed(left, right, 12_000_000) == 0.0


def test_a_camera_whose_pictures_share_ticks_is_not_left_out() -> None:
    """25 pictures a second, at most 10 of them: after 80 and 120 ms in turns, so at odd ticks only, two at a time."""
    pictures = [START + 60_000_000 + 200_000_000 * n + odd for n in range(200) for odd in (0, 80_000_000)]
    assert 198 <= len(chosen(slow(0.15), pictures)) <= 202


def test_a_picture_that_is_missing_is_replaced_by_the_next_one() -> None:
    pictures = [at for at in shutter(64) if FrameClock(10).nearest(at) % 8]
    assert len(chosen(slow(0.31), pictures)) == 16


def test_pictures_become_fewer_and_more_without_one_out_of_turn() -> None:
    """A camera is watched while its encoder slows down in the middle of a group, and becomes fast again."""
    thinning, sent = Thinning(10), list[int]()
    for number, at in enumerate(shutter(2_000)):
        if thinning.wanted(at):
            sent.append(number)
            thinning.encoded(0.31 if number < 600 else 0.05)
    began = sent.index(WINDOW - 1) + 1
    assert sent[began : began + 100] == [number for number in range(WINDOW, 600) if number % 4 == 0][:100]
    assert sent[-200:] == [*range(1_800, 2_000)]


@pytest.mark.parametrize("back_s", [0.3, 3.0, 3_600.0])
def test_a_clock_that_is_set_back_stops_nothing(back_s: float) -> None:
    thinning = slow(0.31)
    assert chosen(thinning, shutter(40))
    later = [at + 4 * 10**9 - round(back_s * 1e9) for at in shutter(40)]
    assert len(chosen(thinning, later)) >= 8


def test_what_a_person_is_told() -> None:
    thinning = slow(0.31)
    assert thinning.encode_s == 0.31
    assert thinning.highest_fps == 2.9
    at_that = Thinning(thinning.highest_fps)
    assert not any(at_that.encoded(0.31) for _ in range(100))
    assert slow(20.0).highest_fps == 0.1
