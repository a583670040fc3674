from pathlib import Path

import numpy as np
import pytest

from channel_emulator.channel.randomness import RandomStreams
from channel_emulator.channel.snr import Fixed, RandomWalk, Schedule, reflect
from wire.runtime.errors import UserError
from wire.views import View


def schedule(tmp_path: Path, text: str, interpolate: bool = False, loop: bool = False) -> Schedule:
    path = tmp_path / "snr.csv"
    path.write_text(text)
    return Schedule.read(path, interpolate, loop)


ROWS = "time_s,snr_db\n0,10\n2,0\n4,6\n"


def test_a_fixed_snr_never_moves() -> None:
    assert Fixed(7.0).at(1e6) == 7.0
    assert not Fixed(7.0).moves


def test_a_schedule_holds_each_row_until_the_next(tmp_path: Path) -> None:
    source = schedule(tmp_path, ROWS)
    assert [source.at(t) for t in (0.0, 1.99, 2.0, 3.99, 4.0, 99.0)] == [10.0, 10.0, 0.0, 0.0, 6.0, 6.0]


def test_a_schedule_can_interpolate_and_start_over(tmp_path: Path) -> None:
    source = schedule(tmp_path, ROWS, interpolate=True, loop=True)
    assert [source.at(t) for t in (1.0, 3.0, 4.0, 5.0)] == pytest.approx([5.0, 3.0, 10.0, 5.0])


def test_an_infinite_row_is_noiseless_for_its_time(tmp_path: Path) -> None:
    source = schedule(tmp_path, "time_s,snr_db\n0,inf\n1,5\n", loop=False)
    assert source.at(0.5) == float("inf")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("snr,time\n", r"snr.csv:1: the header must be time_s,snr_db"),
        ("time_s,snr_db\n", r"no rows"),
        ("time_s,snr_db\n0,ten\n", r"snr.csv:2: '0,ten' is not time_s,snr_db"),
        ("time_s,snr_db\n0,1,2\n", r"snr.csv:2: '0,1,2' is not"),
        ("time_s,snr_db\n0,1\n1,nan\n", r"snr.csv:3: snr_db must lie between -50 and 100 dB"),
        ("time_s,snr_db\n0,1\n0,2\n", r"grow from row to row"),
        ("time_s,snr_db\nnan,1\n", r"time_s must be a finite number"),
    ],
)
def test_a_broken_schedule_points_at_its_line(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(UserError, match=line):
        schedule(tmp_path, text)


def test_a_schedule_that_a_spreadsheet_saved_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    assert schedule(tmp_path, "\ufefftime_s,snr_db\r\n0,3\r\n", loop=False).at(1.0) == 3.0


def test_infinity_cannot_be_interpolated(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be interpolated"):
        schedule(tmp_path, "time_s,snr_db\n0,inf\n1,5\n", interpolate=True)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing.csv: cannot be read"):
        Schedule.read(tmp_path / "nothing.csv", interpolate=False, loop=False)


def walk(seed: int = 1, step_db: float = 2.0, low_db: float = 0.0, high_db: float = 20.0) -> RandomWalk:
    return RandomWalk(10.0, step_db, low_db, high_db, RandomStreams(seed, "demo", View.LEFT))


def test_a_walk_is_a_function_of_seed_and_time_alone() -> None:
    times = [0.0, 3.0, 500.0, 1e4, 500.0, 3.0, 0.0]
    there_and_back = [walk_at for source in [walk()] for walk_at in (source.at(t) for t in times)]
    assert there_and_back == [walk().at(t) for t in times]
    assert there_and_back[:4] == there_and_back[:2:-1]
    assert walk(seed=2).at(500.0) != walk().at(500.0)
    assert walk().at(0.0) == 10.0


def test_a_walk_stays_between_its_walls_and_reaches_them() -> None:
    source = walk(step_db=4.0, low_db=5.0, high_db=15.0)
    path = [source.at(t) for t in np.arange(0.0, 600.0, 0.5)]
    assert 5.0 <= min(path) < 6.0
    assert 14.0 < max(path) <= 15.0


def test_a_walk_spreads_by_its_step_each_second() -> None:
    # 400 links, walls far away: the relative standard deviation of a standard deviation is 1/sqrt(800) = 0.035.
    moved = [walk(seed, low_db=-50.0, high_db=100.0).at(4.0) - 10.0 for seed in range(400)]
    assert np.std(moved) == pytest.approx(2.0 * 4.0**0.5, rel=0.15)


def test_reflection_folds_into_the_interval() -> None:
    assert [reflect(x, 0.0, 10.0) for x in (-3.0, 4.0, 12.0, 23.0, -12.0)] == [3.0, 4.0, 8.0, 3.0, 8.0]
    assert reflect(3.0, 5.0, 5.0) == 5.0
