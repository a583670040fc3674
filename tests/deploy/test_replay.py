"""`vergence replay` as a person types it."""

from pathlib import Path
from typing import Any

import pytest

from center.record import messages
from center.record.reader import Recording, files
from deploy.local import cli
from tests.recordings import Record, job, recorder_in, shipped_engine


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return recorder_in(tmp_path)


def vergence(*words: object) -> int:
    return cli.main(["replay", *map(str, words)])


def test_it_says_that_every_bit_is_equal(record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    folder = record([[job(1), job(1, "attic")], [job(2)]])
    assert vergence(folder) == 0
    said = capsys.readouterr().out
    assert "codec small-joint" in said
    assert "3 pairs, 6 views decoded again: 6 equal bit for bit, 0 different, 0 unreadable" in said
    assert "+0.00 dB (+0.00 to +0.00)" in said


def test_other_pictures_end_with_3(
    record: Record,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = record([[job(1)]])
    monkeypatch.setattr("center.record.replay.digest", lambda exact: b"another")
    assert vergence(folder) == 3
    assert "0 equal bit for bit, 2 different" in capsys.readouterr().out


def test_another_codec_is_compared(record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    assert vergence(record([[job(1)]]), "--codec", "small-ms-ssim") == 0
    said = capsys.readouterr().out
    assert "codec small-ms-ssim" in said
    assert "mean PSNR of 1 views with a reference" in said


def test_there_and_back_through_sigmf(
    record: Record,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert vergence(record([[job(1)]]), "--to-sigmf", tmp_path / "sigmf") == 0
    assert ".sigmf-meta: 1 frames" in capsys.readouterr().out
    assert vergence("--sigmf", tmp_path / "sigmf") == 0
    assert "2 equal bit for bit" in capsys.readouterr().out


def test_a_cut_off_file_is_told_and_the_rest_is_replayed(
    record: Record,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = files(record([[job(1)], [job(2)]]))[0]
    *_, last = Recording(path).records()
    path.write_bytes(path.read_bytes()[: last.end - 1000])
    vergence(path)
    said = capsys.readouterr()
    assert f"{path} has no end (a crash, or it is being written); what is whole counts" in said.err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "give one recording: a file or folder of .mcap, or --sigmf DIR"),
        (["a", "--sigmf", "b"], "give one recording: a file or folder of .mcap, or --sigmf DIR"),
        (["missing"], "missing does not exist; give a recording, or the record.folder of a center"),
        (["missing", "--speed", "0"], "--speed is 0.0; give a number above 0"),
        (["missing", "--speed", "nan"], "--speed is nan; give a number above 0"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert vergence(*words) == 1
    assert capsys.readouterr().err == f"vergence: error: {line}\n"


def test_a_recording_of_another_codec_under_the_same_name_is_refused(
    record: Record,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = messages.session

    def other(*arguments: Any) -> Any:
        made = original(*arguments)
        made.codec_hash = "00000000deadbeef"
        return made

    monkeypatch.setattr(messages, "session", other)
    assert vergence(record([[job(1)]])) == 1
    said = capsys.readouterr().err
    here = shipped_engine().codec_hash
    assert f"was decoded by codec 00000000deadbeef, but 'small-joint' is {here} here; give the folder" in said


def test_words_of_a_file_do_nothing_to_the_terminal(
    record: Record, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recording of somebody else says on which machine it was made, and by which codec."""
    original = messages.session

    def other(*arguments: Any) -> Any:
        made = original(*arguments)
        made.machine = "\x1b]0;owned\x07\x1b[2J"
        return made

    monkeypatch.setattr(messages, "session", other)
    vergence(record([[job(1)]]))
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert r"recorded on \x1b]0;owned" in said.out

    monkeypatch.setattr(messages, "session", lambda *_: original("\x1b[2J", *_[1:]))
    assert vergence(record([[job(2)]])) == 1
    assert "\x1b" not in capsys.readouterr().err


def test_an_empty_recording_is_one_line(record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    folder = record([])
    (folder / "nothing.mcap").write_bytes(b"")
    assert vergence(folder) == 1
    assert capsys.readouterr().err.endswith("holds no pair that can be decoded; was anything recorded?\n")
