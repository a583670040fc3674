"""The benchmark of the engines."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from center.decode.engines import Batch
from deploy.bench.engine import Row, load_all, take_turns
from deploy.local.cli import main
from wire.runtime.errors import UserError


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Engine:
    """Takes so many seconds a pair, the first time ten times as many."""

    codec_hash = ""

    def __init__(self, name: str, seconds: float, clock: Clock) -> None:
        self.name, self.calls, self._seconds, self._clock = name, list[int](), seconds, clock

    def decode(self, batch: Batch) -> NDArray[np.float32]:
        self._clock.now += self._seconds * len(batch) * (1 if self.calls else 10)
        self.calls.append(len(batch))
        return np.zeros((len(batch), 2, 3, batch.size.rows, batch.size.columns), np.float32)


def test_engines_take_turns_and_first_calls_do_not_count() -> None:
    clock = Clock()
    slow, fast = Engine("slow", 2.0, clock), Engine("fast", 1.0, clock)
    rows = [Row(engine.name, "onnxruntime", size) for engine in (slow, fast) for size in (1, 2)]
    take_turns(rows, {"slow": slow, "fast": fast}, 3, clock)
    assert [row.seconds for row in rows] == [[2.0] * 3, [4.0] * 3, [1.0] * 3, [2.0] * 3]
    assert slow.calls == fast.calls == [1, 2] * 4


def test_of_batches_at_once_the_time_of_one_round_counts() -> None:
    together, clock = threading.Barrier(2), Clock()

    class Wide(Engine):
        """Stands until two batches are there."""

        def decode(self, batch: Batch) -> NDArray[np.float32]:
            if together.wait(20) == 0:
                self._clock.now += self._seconds
            self.calls.append(len(batch))
            return np.zeros(0, np.float32)

    wide = Wide("wide", 3.0, clock)
    row = Row("wide", "onnxruntime", 1, at_once=2)
    take_turns([row], {"wide": wide}, 2, clock)
    assert (row.seconds, row.pairs) == ([3.0, 3.0], 2)
    assert len(wide.calls) == 3 * 4, "two at once, twice, and a first turn that does not count"


def test_the_command_measures_and_stores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--kinds", "onnxruntime", "onnxruntime-i8", "--batches", "1", "--rounds", "1", "--size", "144x320"]
    assert main(["bench", "engine", *words, "--json", str(tmp_path / "engine.json")]) == 0
    assert "onnxruntime-i8 on cpu" in capsys.readouterr().out
    stored = json.loads((tmp_path / "engine.json").read_text())
    assert stored["size"] == "144x320"
    assert [(row["name"], row["at_once"]) for row in stored["rows"]] == [
        ("onnxruntime on cpu", 1),
        ("onnxruntime on cpu", 2),
        ("onnxruntime-i8 on cpu", 1),
        ("onnxruntime-i8 on cpu", 2),
    ]
    assert all(row["peak"] > 50e6 and row["seconds"] for row in stored["rows"])
    exact, coarse = stored["psnr"].values()
    assert exact == sorted(exact)
    assert np.abs(np.subtract(exact, coarse)).max() < 0.1


def test_engines_that_are_not_there_are_left_out_with_a_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="no engine can be loaded"):
        load_all(str(tmp_path), ["onnxruntime"], 1)
    assert "onnxruntime: left out: " in capsys.readouterr().out
