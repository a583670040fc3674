"""Trainings of so many minutes."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from jscc.data.pack import write_pack
from jscc.train.__main__ import main
from jscc.train.host_steps import HostSteps
from jscc.train.loop import Cadence
from jscc.train.settings import TrainSettings
from jscc.train.state import read_ema
from jscc.train.timetable import Timetable, plan


def arguments(out: Path, pack: Path, *more: str) -> list[str]:
    fixed = ["--preset", "tiny", "--pack", str(pack), "--out", str(out), "--device", "cpu", "--threads", "1"]
    return [*fixed, "--patches", "2", "--pictures", "1", "--log-every", "5", *more]


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory, picture_folders: tuple[Path, Path]) -> Path:
    path = tmp_path_factory.mktemp("pack") / "pack.bin"
    write_pack(path, [picture_folders[0]], [picture_folders[1]], None, rows=256, limit=10**7, quality=90)
    return path


@pytest.mark.parametrize("where", ["host", "device"])
def test_a_training_of_some_seconds_ends_its_schedule_in_time_and_can_be_resumed(
    tmp_path: Path, pack: Path, where: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("jscc.train.__main__.SAVING_SECONDS", 0.5)
    began = time.monotonic()
    options = ["--pictures-on", where, "--minutes", "0.3"]
    state = main(arguments(tmp_path, pack, *options, "--stop-after", "3"))
    assert time.monotonic() - began < 60  # much may run beside it
    steps = json.loads((tmp_path / "run.json").read_text())["settings"]["steps"]
    assert f"{steps:,} steps of" in capsys.readouterr().out
    assert state.step == min(3, steps)
    main(arguments(tmp_path, pack, "--pictures-on", where, "--minutes", "5", "--resume"))
    said = capsys.readouterr().out
    assert "changed:" not in said
    assert f"step {steps}/{steps}" in said or steps <= 3
    assert read_ema(tmp_path / "state.pt")[1:] == (steps, read_ema(tmp_path / "state.pt")[2])


def test_a_training_that_was_slower_than_measured_stops_by_the_clock(
    tmp_path: Path, pack: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def hasty(timetable: Timetable, *arguments: Any) -> tuple[TrainSettings, Cadence]:
        settings, cadence = plan(timetable, *arguments)
        return settings, Cadence(5, cadence.val_every, 5.0, None, time.monotonic() + 0.5)

    shipped: list[tuple[Any, ...]] = []

    def ship(*arguments: Any) -> str:
        shipped.append(arguments)
        return "0123"

    monkeypatch.setattr("jscc.train.__main__.plan", hasty)
    monkeypatch.setattr("jscc.train.__main__.SAVING_SECONDS", 0.5)
    monkeypatch.setattr("jscc.release.bundle.ship", ship)
    monkeypatch.setattr(HostSteps, "seconds_per_step", lambda *_: 1e-4)
    options = ["--pictures-on", "host", "--minutes", "0.2", "--ship-seconds", "1", "--ship", str(tmp_path / "codec")]
    state = main(arguments(tmp_path / "run", pack, *options, "--data", "noise"))
    steps = json.loads((tmp_path / "run" / "run.json").read_text())["settings"]["steps"]
    assert 1 <= state.step < steps
    assert f"the time is over at step {state.step} of {steps}, saved" in capsys.readouterr().out
    assert read_ema(tmp_path / "run" / "state.pt")[1] == state.step
    ((run, codec, val, snrs, data, device),) = shipped
    assert (run, codec, val, snrs, data) == (tmp_path / "run", tmp_path / "codec", None, [-2, 4, 12], "noise")
    assert device == torch.device("cpu")


def test_too_little_time_is_named(tmp_path: Path, pack: Path) -> None:
    with pytest.raises(SystemExit, match=r"--minutes leaves .* s for steps of .* s and a validation of 0 s; give more"):
        main(arguments(tmp_path, pack, "--minutes", "0.01"))


def test_a_training_runs_where_libraries_of_other_parts_are_missing(tmp_path: Path, pack: Path) -> None:
    """A GPU host has torch, but not pytorch-msssim, pydantic or gRPC."""
    import subprocess
    import sys

    missing = ("pytorch_msssim", "pydantic", "grpc", "yaml", "prometheus_client", "matplotlib", "av", "sionna")
    script = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {missing}:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Missing())
import importlib.util
found = importlib.util.find_spec
import jscc.quality
jscc.quality.find_spec = lambda name: None if name in {missing} else found(name)
from jscc.train.__main__ import main
import jscc.release.bundle
main({arguments(tmp_path, pack, "--steps", "2")})
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert np.isfinite(read_ema(tmp_path / "state.pt")[1])
