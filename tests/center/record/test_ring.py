"""Which files go, and which never do."""

import numpy as np

from center.record.ring import Limits, RingFile, file_name, is_ours

LIMITS = Limits(max_bytes=1000, max_age=100.0, file_bytes=200)


def ring(*files: tuple[str, int, float]) -> list[RingFile]:
    return [RingFile(name, size, newest_at) for name, size, newest_at in files]


def names(files: list[RingFile]) -> list[str]:
    return [file.name for file in files]


def test_nothing_goes_while_there_is_room() -> None:
    assert LIMITS.expired(ring(("a", 400, 0.0), ("b", 400, 50.0)), now=60.0, writing=200) == []


def test_the_oldest_go_first_and_only_as_many_as_needed() -> None:
    files = ring(("c", 300, 30.0), ("a", 300, 10.0), ("b", 300, 20.0))
    assert names(LIMITS.expired(files, now=40.0, writing=200)) == ["a"]
    assert names(LIMITS.expired(files, now=40.0, writing=401)) == ["a", "b"]


def test_age_counts_from_the_newest_thing_in_a_file() -> None:
    files = ring(("a", 10, 0.0), ("b", 10, 1.0))
    assert LIMITS.expired(files, now=100.0) == []
    assert names(LIMITS.expired(files, now=100.5)) == ["a"]
    assert names(LIMITS.expired(files, now=200.0)) == ["a", "b"]


def test_a_clock_that_was_set_back_deletes_nothing() -> None:
    assert LIMITS.expired(ring(("a", 10, 5000.0)), now=0.0) == []


def test_whatever_comes_the_ring_keeps_its_bounds_and_deletes_only_what_it_must() -> None:
    random = np.random.default_rng(1)
    for _ in range(500):
        files = ring(*((f"{i:03d}", int(random.integers(1, 400)), float(random.uniform(0, 200))) for i in range(12)))
        now, writing = float(random.uniform(100, 300)), int(random.integers(0, 200))
        gone = LIMITS.expired(files, now, writing)
        kept = [file for file in files if file not in gone]
        assert sum(file.size for file in kept) + writing <= LIMITS.max_bytes
        assert all(now - file.newest_at <= LIMITS.max_age for file in kept)
        for file in gone:  # it was too old, or without it the rest of its time would not have fitted
            younger = [other for other in files if other.name >= file.name and now - other.newest_at <= LIMITS.max_age]
            assert now - file.newest_at > LIMITS.max_age or (
                sum(other.size for other in younger) + writing > LIMITS.max_bytes
            )


def test_a_file_is_finished_by_size_or_by_a_quarter_of_the_age() -> None:
    assert not LIMITS.full(size=199, age=24.9)
    assert LIMITS.full(size=200, age=0.0)
    assert LIMITS.full(size=0, age=25.0)


def test_names_sort_by_time_and_are_known_again() -> None:
    earlier = file_name(1_700_000_000_999_999_999, 2**64 - 1, 9)
    later = file_name(1_700_000_001_000_000_000, 0, 1)
    assert earlier == "vergence-20231114T221320.999999Z-ffffffffffffffff-000009.mcap"
    assert earlier < later
    assert is_ours(earlier)
    assert is_ours(later)


def test_files_of_others_are_not_ours() -> None:
    for name in ("holiday.mcap", "vergence-copy.mcap", f"{file_name(0, 0, 1)}.bak", f"../{file_name(0, 0, 1)}"):
        assert not is_ours(name)
