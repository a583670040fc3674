"""What processes hold and how busy the machine is."""

from pathlib import Path

import pytest

from deploy.bench.faults.usage import Cores


def test_cores_are_busy_with_what_does_not_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = iter(["cpu  100 50 20 400 30 1 2 3 0 0\ncpu0 1\n", "cpu  150 150 40 500 40 2 3 4 0 0\ncpu0 1\n"])
    monkeypatch.setattr(Path, "read_text", lambda _: next(lines))
    then = Cores.now()
    assert then == Cores(worked=126, rested=480)
    assert Cores.now().busy_since(then) == (50 + 20 + 3) / (50 + 20 + 3 + 100 + 100 + 10)


def test_no_time_at_all_is_not_busy() -> None:
    assert Cores(5, 5).busy_since(Cores(5, 5)) == 0.0
