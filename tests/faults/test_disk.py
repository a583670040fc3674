"""A whole center whose disk for recordings becomes full."""

import pytest

from deploy.bench.faults import disk
from wire.runtime.errors import UserError


def test_a_full_disk_stops_the_recorder_and_nothing_else_and_is_told() -> None:
    """`vergence bench faults --disk 8` is the long one."""
    pytest.importorskip("mcap")
    try:
        with disk.small_disk(1):
            pass
    except UserError as problem:
        pytest.skip(str(problem))
    result = disk.drill(4, fps=4.0, seconds=4.0, say=print)
    told = [each for each in result["failures"] if each != "instants were lost"]  # a busy machine loses some by itself
    assert told == []
    assert result["pictures"] > 0
    assert result["kept"] >= result["confirmed"] > 0
    assert result["lost"] < result["instants"]
