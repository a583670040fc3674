"""What a benchmark is told and cannot do is refused before it begins."""

import argparse
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from deploy.bench import doors, engine, live, record
from deploy.bench.arguments import at_least, chart_file, count, natural, output_file, positive
from deploy.bench.faults import command as faults
from deploy.bench.load import command as load


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [(count, "1", 1), (natural, "0", 0), (positive, "0.25", 0.25), (at_least(8), "8", 8.0), (at_least(0), "0", 0.0)],
)
def test_what_makes_sense_is_taken(kind: Callable[[str], float], text: str, value: float) -> None:
    assert kind(text) == value


@pytest.mark.parametrize(
    ("kind", "text", "line"),
    [
        (count, "0", "'0' is not a whole number from 1 on"),
        (count, "1.5", "'1.5' is not a whole number from 1 on"),
        (natural, "-1", "'-1' is not a whole number from 0 on"),
        (positive, "0", "'0' is not a number above 0"),
        (positive, "inf", "'inf' is not a number above 0"),
        (positive, "nan", "'nan' is not a number above 0"),
        (positive, "soon", "'soon' is not a number above 0"),
        (at_least(8), "7.9", "'7.9' is not a number from 8 on"),
    ],
)
def test_a_number_that_makes_no_sense_is_told(kind: Callable[[str], float], text: str, line: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as refused:
        kind(text)
    assert str(refused.value) == line


def test_a_file_is_written_where_there_is_a_folder(tmp_path: Path) -> None:
    assert output_file(str(tmp_path / "new.json")) == tmp_path / "new.json"
    assert output_file("new.json") == Path("new.json")
    for path, line in ((tmp_path / "no" / "new.json", "there is no folder"), (tmp_path, "is a folder; name a file")):
        with pytest.raises(argparse.ArgumentTypeError, match=line):
            output_file(str(path))


def test_a_chart_is_of_a_kind_that_can_be_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no chart; end its name in"):
        chart_file(str(tmp_path / "load.txt"))

    def missing(module: str) -> ModuleType:
        raise ImportError(name=module)

    monkeypatch.setattr("jscc.evaluate.extras.importlib.import_module", missing)
    with pytest.raises(argparse.ArgumentTypeError, match="drawing the chart needs matplotlib"):
        chart_file(str(tmp_path / "load.svg"))


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (faults, ["--soak", "1"]),
        (faults, ["--kills", "-1"]),
        (faults, ["--idle", "2000", "--fps", "0"]),
        (faults, ["--floods", "nan"]),
        (load, ["--rate", "0"]),
        (load, ["--json", "no/such/folder/load.json"]),
        (doors, ["--frames", "0"]),
        (engine, ["--rounds", "0"]),
        (live, ["--seconds", "-1"]),
        (record, ["--kills", "many"]),
    ],
)
def test_commands_ask_for_what_they_can_do(command: Any, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(words)
    assert ended.value.code == 2
    assert f"argument {words[-2]}: " in capsys.readouterr().err
