"""Nothing that goes wrong after a step takes it away: the trainer saves before it tells, and after an error."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from jscc.quality import psnr
from jscc.train import device_steps
from jscc.train.state import TrainState, read_ema
from tests.jscc.conftest import refusal, train


def saved_step(run: Path) -> int:
    return read_ema(run / "state.pt")[1]


def assert_goes_on(run: Path, folders: tuple[Path, Path], *more: str) -> None:
    """A resumed run ends with the weights of one that nothing ever happened to."""
    whole = train(run.with_name("whole"), folders, *more)
    parts = train(run, folders, *more, "--resume")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


@pytest.fixture
def val(picture_folders: tuple[Path, Path]) -> list[str]:
    return ["--val", str(picture_folders[0])]


def fails_with(error: Exception) -> Any:
    def failing(*arguments: object) -> None:
        raise error

    return failing


def test_a_preview_that_cannot_be_written_takes_no_weights(
    tmp_path: Path, picture_folders: tuple[Path, Path], val: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jscc.train.loop.save_preview", fails_with(OSError("cannot write val-6.png")))
    line = refusal(tmp_path, picture_folders, *val)
    assert line.endswith(f"cannot write val-6.png; {tmp_path / 'state.pt'} holds what was saved, if anything")
    assert saved_step(tmp_path) == 6


@pytest.mark.parametrize("every", ["6", "4"])
@pytest.mark.parametrize("place", ["host", "device"])
def test_a_validation_without_memory_takes_no_weights(
    tmp_path: Path,
    picture_folders: tuple[Path, Path],
    val: list[str],
    monkeypatch: pytest.MonkeyPatch,
    every: str,
    place: str,
) -> None:
    """At the last step, and at one before it that would not have been saved."""
    monkeypatch.setattr("jscc.train.loop.neighbour_table", fails_with(MemoryError("the first error")))
    with pytest.raises(MemoryError, match="the first error"):
        train(tmp_path / "run", picture_folders, *val, "--val-every", every, "--pictures-on", place)
    assert saved_step(tmp_path / "run") == int(every)
    if every == "4":
        assert_goes_on(tmp_path / "run", picture_folders, "--pictures-on", place)


def test_a_step_that_was_cut_short_is_not_saved(
    tmp_path: Path, picture_folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the host, where there is no copy of the step before: the weights have moved, their average has not."""
    average = TrainState.average

    def third(state: TrainState, decay: float) -> None:
        if state.step == 3:
            raise MemoryError
        average(state, decay)

    monkeypatch.setattr(TrainState, "average", third)
    with pytest.raises(MemoryError):
        train(tmp_path / "none", picture_folders)
    assert not (tmp_path / "none" / "state.pt").exists()
    with pytest.raises(MemoryError):
        train(tmp_path / "run", picture_folders, "--save-minutes", "0")
    assert saved_step(tmp_path / "run") == 2
    monkeypatch.undo()
    assert_goes_on(tmp_path / "run", picture_folders)


def test_a_step_that_was_cut_short_on_the_device_is_undone(
    tmp_path: Path, picture_folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = 0

    def fourth(*arguments: Any) -> torch.Tensor:  # when the weights have moved
        nonlocal done
        done += 1
        if done == 4:
            raise MemoryError
        return psnr(*arguments)

    monkeypatch.setattr(device_steps, "psnr", fourth)
    with pytest.raises(MemoryError):
        train(tmp_path / "run", picture_folders, "--pictures-on", "device")
    assert saved_step(tmp_path / "run") == 2  # where the host looked last
    monkeypatch.undo()
    assert_goes_on(tmp_path / "run", picture_folders, "--pictures-on", "device")


def test_saved_is_said_when_it_is(
    tmp_path: Path,
    picture_folders: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    step = TrainState.average

    def stopped(state: TrainState, decay: float) -> None:
        step(state, decay)
        if state.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(TrainState, "average", stopped)
    train(tmp_path / "good", picture_folders)
    assert capsys.readouterr().out.endswith("stopped by a signal at step 3 of 6, saved\n")
    assert saved_step(tmp_path / "good") == 3

    monkeypatch.setattr(TrainState, "save", fails_with(OSError(28, "No space left on device")))
    assert "No space left on device" in refusal(tmp_path / "full", picture_folders)
    assert "saved" not in capsys.readouterr().out


class Gone(io.StringIO):
    """A pipe whose reader has ended when the first step is told."""

    def write(self, text: str) -> int:
        if text.startswith("step"):
            raise BrokenPipeError(32, "Broken pipe")
        return super().write(text)


def test_an_output_that_nobody_reads_ends_the_run_with_a_save(
    tmp_path: Path, picture_folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", Gone())
    assert "nobody reads what is printed any more" in refusal(tmp_path / "run", picture_folders)
    monkeypatch.undo()
    assert saved_step(tmp_path / "run") == 2
    assert_goes_on(tmp_path / "run", picture_folders)


@pytest.mark.timeout(600)
def test_ctrl_c_saves_though_tee_dies_of_it_too(tmp_path: Path, picture_folders: tuple[Path, Path]) -> None:
    command = [sys.executable, "-m", "jscc.train", "--preset", "tiny", "--pairs", str(picture_folders[0])]
    command += ["--out", str(tmp_path), "--device", "cpu", "--threads", "1", "--patches", "1", "--log-every", "1"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            assert any(line.startswith("step ") for line in process.stdout)
            process.stdout.close()
            process.send_signal(signal.SIGINT)
            said = process.stderr.read()
            assert process.wait(300) == 1
        finally:
            process.kill()
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    assert said.endswith(f"{tmp_path / 'state.pt'} holds what was saved, if anything; --resume goes on\n")
    assert saved_step(tmp_path) >= 1
