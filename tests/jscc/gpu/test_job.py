"""A job brings home what there is, whatever becomes of it. One is real; in the others scripts stand for its parts."""

import io
import json
import signal
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jscc.data.pack import write_pack
from jscc.gpu import job
from jscc.gpu.children import Children
from jscc.model.checkpoint import load_weights

PATIENCE = 100
"""Seconds that a script runs if nobody ends it, on a machine that has much else to do."""
START = f"""
import os, pathlib, signal, sys, time
work = pathlib.Path(sys.argv[1])
run = work / "run"
run.mkdir(parents=True, exist_ok=True)
def sleep(*_):
    for _ in range({PATIENCE}):
        time.sleep(1)
"""


def parcel(out: Path) -> dict[str, bytes]:
    """The files of a result, by name."""
    pieces = sorted(out.glob("result.tar.*"), key=lambda path: int(path.suffix[1:]))
    with tarfile.open(fileobj=io.BytesIO(b"".join(piece.read_bytes() for piece in pieces))) as tar:
        files = [(member.name, tar.extractfile(member)) for member in tar]
        return {name: file.read() for name, file in files if file is not None}


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a script in the place of the training and one in that of the bench."""

    def put(training: str, bench: str = "") -> None:
        monkeypatch.setattr(job, "training_command", lambda _, work, __: ["-c", START + training, str(work)])
        monkeypatch.setattr(job, "bench_command", lambda _, work: ["-c", START + bench, str(work)])

    return put


@pytest.fixture
def survivor() -> Iterator[None]:
    """A signal that a job should have taken, and did not, ends this test and not all of them."""
    missed: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: missed.append(number))
    yield
    signal.signal(signal.SIGTERM, before)
    assert not missed


def test_a_whole_job(
    tmp_path: Path,
    picture_folders: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """But for the codec, whose graphs take most of a minute to trace."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    pack, out = tmp_path / "pack", tmp_path / "out"
    write_pack(pack, [picture_folders[0]], [], None, rows=256, limit=10**7, quality=90)
    options = ["--out", str(out), "--preset", "tiny", "--set", "codec.decoder_widths=[16,8,8]", "--full-precision"]
    options += ["--device", "cpu", "--patches", "1", "--pictures", "1", "--steps", "2", "--no-ship"]
    options += ["--pack", str(pack), "--bench-seconds", "0.01", "--bench-batches", "1", "--limit-minutes", "4"]
    assert job.main(options) == 0
    log = (out / "job.log").read_text()
    assert "step 2/2" in log
    assert log.endswith(" s, exit code 0\n")
    assert capsys.readouterr().out == log
    files = parcel(out)
    about, found = (json.loads(files[name]) for name in ("run/run.json", "bench.json"))
    assert found["config"] == about["config"]
    assert found["config"]["decoder_widths"] == [16, 8, 8]
    assert (len(found["training"]), len(found["decoding"])) == (2, 1)
    assert {"run/train.csv", "run/state.pt"} < files.keys()
    (tmp_path / "last").write_bytes(files["run/last.safetensors"])
    assert load_weights(tmp_path / "last")[0].decoder_widths == (16, 8, 8)
    with pytest.raises(SystemExit, match="job holds another job's run: add --resume to go on with it, or give another"):
        job.main(options)
    assert parcel(out) == files


@pytest.mark.parametrize("by", ["the time is over", "a signal came"])
def test_what_a_training_saves_when_it_is_cut_off_comes_home(
    tmp_path: Path, stand_in: Any, survivor: None, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """As soon as it has saved: what it does after that may take longer than the host gives."""
    stand_in(f"""
(run / "train.csv").write_text("step")
def save(*_):
    (run / "run.json").write_text("saved")
    (run / "state.pt").write_text("damaged")
    sleep()
signal.signal(signal.SIGTERM, save)
{"os.kill(os.getppid(), signal.SIGTERM)" if by == "a signal came" else '(work / "ready").touch()'}
sleep()
""")
    if by == "the time is over":
        monkeypatch.setattr(Children, "why_over", lambda _: by if (tmp_path / "job" / "ready").exists() else None)
    monkeypatch.setattr(job, "SAVING", PATIENCE)
    began = time.monotonic()
    assert job.main(["--out", str(tmp_path / "out"), "--limit-minutes", "99"]) == job.CUT_OFF
    assert time.monotonic() - began < PATIENCE
    assert parcel(tmp_path / "out") == {"run/run.json": b"saved", "run/train.csv": b"step", "run/state.pt": b"damaged"}
    log = (tmp_path / "out" / "job.log").read_text()
    assert f"job: {by}; told to end, with {PATIENCE} s to save: -c" in log
    assert f"job: {by}; left out: -c" in log, "the bench"


def test_who_does_not_end_is_ended(tmp_path: Path) -> None:
    script = f"""
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sys.stdout.buffer.write(b"busy \\xff\\n")
sys.stdout.flush()
pathlib.Path({str(tmp_path / "ready")!r}).touch()
time.sleep({PATIENCE})
"""
    began = time.monotonic()
    with (tmp_path / "log").open("w") as log:
        children = Children(log, began + 10**6, (tmp_path / "ready").exists, 0.3)
        assert children.run(["-c", script], saves=tmp_path / "never") is None
    assert time.monotonic() - began < PATIENCE
    assert "busy \ufffd\n" in (tmp_path / "log").read_text()


def test_nothing_begins_when_the_time_is_over(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:
        children = Children(log, time.monotonic() - 1, lambda: False, 1.0)
        assert children.why_over() == "the time is over"
        assert children.run(["-c", "raise SystemExit(3)"]) is None
        assert Children(log, time.monotonic() + 10**6, lambda: False, 1.0).run(["-c", "raise SystemExit(3)"]) == 3
    assert (tmp_path / "log").read_text() == "job: the time is over; left out: -c raise SystemExit(3)\n"


def test_a_step_that_fails_takes_nothing_with_it(tmp_path: Path, stand_in: Any) -> None:
    """Neither what is wrong with one file of the training, nor a bench that ends in the middle; and that finds the
    training's result packed.
    """
    stand_in(
        """
(run / "train.csv").write_text("step")
(run / "state.pt").write_text("damaged")
os.kill(os.getpid(), signal.SIGKILL)
""",
        """
assert (work.parent / "out" / "result.tar.0").exists(), "nothing is packed yet"
(work / "bench.json").write_text("half")
raise MemoryError
""",
    )
    assert job.main(["--out", str(tmp_path / "out")]) == 128 + signal.SIGKILL
    assert parcel(tmp_path / "out") == {"run/train.csv": b"step", "run/state.pt": b"damaged", "bench.json": b"half"}
    log = (tmp_path / "out" / "job.log").read_text()
    assert "job: no last.safetensors: " in log
    assert "MemoryError" in log


def test_a_training_that_cannot_begin_ends_the_job_which_may_be_tried_again(tmp_path: Path, stand_in: Any) -> None:
    """A bench would take the host's time, and push the cause out of sight."""
    stand_in("print('no such pack'); sys.exit(1)", "(work / 'bench.json').touch()")
    for _ in range(2):
        assert job.main(["--out", str(tmp_path / "out")]) == 1
        assert not (tmp_path / "job" / "bench.json").exists()
    *_, cause, packed, said, _ = (tmp_path / "out" / "job.log").read_text().splitlines()
    assert (cause, packed) == ("no such pack", "job: packed; left out: nothing")
    assert said == "job: nothing was trained, as the lines above tell; the same command tries again"


def test_an_error_of_the_job_itself_leaves_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> list[str]:
        (tmp_path / "job" / "run").mkdir()
        (tmp_path / "job" / "run" / "train.csv").write_text("step")
        raise OSError("no more processes")

    monkeypatch.setattr(job, "training_command", fails)
    with pytest.raises(OSError, match="no more processes"):
        job.main(["--out", str(tmp_path / "out")])
    assert parcel(tmp_path / "out") == {"run/train.csv": b"step"}


def test_a_job_that_goes_on_brings_no_older_figures(tmp_path: Path, stand_in: Any) -> None:
    run = tmp_path / "job" / "run"
    run.mkdir(parents=True)
    for old in (run / "last.safetensors", run.parent / "bench.json", run / "train.csv"):
        old.write_text("old")
    stand_in("")
    assert job.main(["--out", str(tmp_path / "out"), "--resume", "--bench-seconds", "0"]) == 0
    assert parcel(tmp_path / "out") == {"run/train.csv": b"old"}


def test_the_newest_pictures_come_home(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for step in (1000, 9000, 10000):
        (run / f"val-{step}.png").touch()
    assert [name for name, _ in job.parcel_files(tmp_path) if "val-" in name] == ["run/val-10000.png"]


def test_the_bench_is_given_what_makes_the_network(tmp_path: Path) -> None:
    words = ["--out", "out", "--baseline", "--set", "codec.epipolar=false", "draws.absent_other=0", "--lr", "3e-3"]
    args, more = job.read_arguments([*words, "--optimiser", "adamw", "--ship-snrs", "-2", "4", "--full-precision"])
    training, bench = job.training_command(args, tmp_path, more), job.bench_command(args, tmp_path)
    assert training[-5:] == ["--lr", "3e-3", "--ship-snrs", "-2", "4"]
    for command in (training, bench):
        at = command.index("--set")
        assert command[at + 1 : at + 3] == ["codec.epipolar=false", "draws.absent_other=0"]
        assert command[command.index("--optimiser") + 1] == "adamw"
        assert {"--baseline", "--full-precision"} < set(command)
        assert "--device" not in command
    assert not {"--lr", "--ship-snrs"} & set(bench)


def test_the_limit_follows_from_the_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ends: list[float] = []

    class Noted(Children):
        def __init__(self, log: Any, until: float, *more: Any) -> None:
            ends.append(until - time.monotonic())
            super().__init__(log, 0.0, *more)

    monkeypatch.setattr(job, "Children", Noted)
    assert job.main(["--out", str(tmp_path / "out"), "--minutes", "8"]) == job.CUT_OFF
    assert ends == [pytest.approx(9.5 * 60 - 12, abs=10)]
    assert job.read_arguments(["--out", "out", "--steps", "9", "--limit-minutes", "1"])[0].limit_minutes == 1
    for more in (["--limit-minutes", "8.1"], ["--limit-minutes", "nan"], ["--steps", "9", "--limit-minutes", "0.1"]):
        with pytest.raises(SystemExit):
            job.read_arguments(["--out", "out", *more])
        assert "--limit-minutes is " in capsys.readouterr().err
