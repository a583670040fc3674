"""The `vergence` command on hosts that have only some of the extras."""

import argparse
import re
import sys
from pathlib import Path

import pytest
from PIL import Image

from deploy.local import cli, demo
from deploy.local.stack import FOOTAGE

ROOT = Path(__file__).resolve().parents[2]


def test_help_needs_no_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("av", "cv2", "onnxruntime", "websockets", "uvicorn", "starlette"):
        monkeypatch.setitem(sys.modules, name, None)
    for words in (["--help"], ["bench", "--help"], ["demo", "--help"]):
        with pytest.raises(SystemExit) as ended:
            cli.main(words)
        assert ended.value.code == 0
    assert "--synthetic" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "absent"), [(["demo"], "av"), (["demo"], "cv2"), (["demo"], "uvicorn"), (["bench", "live"], "websockets")]
)
def test_a_missing_extra_is_one_line(
    words: list[str], absent: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith(("websockets", "deploy.bench"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, absent, None)
    assert cli.main(words) == 1
    line = f"vergence: error: {absent} is not installed; in a checkout of vergence: pip install '.[edge,center]'"
    assert capsys.readouterr().err.strip() == line


def test_make_bench_alone_measures_something() -> None:
    """Without ARGS it ended with a line on how it is used."""
    (listed,) = re.findall(r"^BENCHES := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    benches = [words.split() for words in re.findall(r'"([^"]+)"', listed)]
    assert {words[0] for words in benches} >= {"engine", "live", "load", "stale"}
    for words in benches:
        cli._parser(["bench", *words]).parse_args(["bench", *words])


def extra(*words: str) -> dict[str, str]:
    parser = argparse.ArgumentParser()
    demo.add_arguments(parser)
    return demo._extra(parser.parse_args(list(words)))


def test_a_demo_has_the_size_that_is_asked_for() -> None:
    assert extra() == {}, "as the configuration files say"
    assert extra("--size", "256x512") == {"VERGENCE_EDGE__SIZE": "256x512"}
    assert extra("--size", "512x1024", "--synthetic")["VERGENCE_EDGE__SIZE"] == "512x1024"


@pytest.mark.parametrize(
    ("size", "line"),
    [
        ("large", "--size: 'large' is no size; write rows x columns, such as 128x256"),
        ("250x500", "--size: the size 250x500 (rows x columns) cannot be sent; take multiples of 16, rows 128 to"),
        ("512x1024", "--size 512x1024: the clip has pictures of 256x512; demo --synthetic draws any size"),
    ],
)
@pytest.mark.parametrize("command", [["demo"], ["bench", "live"], ["bench", "load"]], ids=" ".join)
def test_a_size_that_cannot_be_is_one_line(
    command: list[str], size: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*command, "--size", size]) == 1
    assert capsys.readouterr().err.startswith(f"vergence: error: {line}")


def test_the_clip_has_the_size_that_the_demo_says() -> None:
    for file in sorted(FOOTAGE.rglob("*.jpg")):
        with Image.open(file) as picture:
            assert picture.size == (demo.CLIP_SIZE.columns, demo.CLIP_SIZE.rows)


@pytest.mark.parametrize("name", cli._BENCHES)
def test_every_bench_tells_its_own_arguments(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["bench", name, "--help"])
    assert ended.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    assert cli._BENCHES[name].lower() in told.lower()
