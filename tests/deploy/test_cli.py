"""The `vergence` command on hosts that have only some of the extras."""

import sys

import pytest

from deploy.local import cli


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


@pytest.mark.parametrize("name", cli._BENCHES)
def test_every_bench_tells_its_own_arguments(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["bench", name, "--help"])
    assert ended.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    assert cli._BENCHES[name].lower() in told.lower()
