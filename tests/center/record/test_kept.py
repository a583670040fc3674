import numpy as np
from numpy.typing import NDArray

from center.record.kept import Kept


def zeros(size: int) -> NDArray[np.uint8]:
    return np.zeros(size, np.uint8)


def test_the_newest_of_them_are_kept() -> None:
    kept: Kept[int, NDArray[np.uint8]] = Kept(3, 100)
    for key in range(5):
        kept.put(key, zeros(1))
    assert [key for key, _ in kept] == [2, 3, 4]
    assert kept.get(1) is None
    assert kept.get(2) is not None


def test_they_hold_no_more_than_so_many_bytes() -> None:
    kept: Kept[int, NDArray[np.uint8]] = Kept(64, 100)
    for key in range(5):
        kept.put(key, zeros(40))
    assert [key for key, _ in kept] == [3, 4]
    assert kept.take(3) is not None
    assert kept.take(3) is None
    kept.put(5, zeros(60))
    assert [key for key, _ in kept] == [4, 5], "what was taken counts no more"


def test_what_takes_the_place_of_another_counts_instead_of_it() -> None:
    kept: Kept[int, NDArray[np.uint8]] = Kept(64, 100)
    for _ in range(5):
        kept.put(1, zeros(60))
    kept.put(2, zeros(40))
    assert [(key, each.nbytes) for key, each in kept] == [(1, 60), (2, 40)]
    kept.put(1, zeros(10))
    assert [(key, each.nbytes) for key, each in kept] == [(2, 40), (1, 10)]


def test_the_newest_stays_however_large() -> None:
    kept: Kept[int, NDArray[np.uint8]] = Kept(64, 100)
    kept.put(1, zeros(50))
    kept.put(2, zeros(500))
    assert [key for key, _ in kept] == [2]
