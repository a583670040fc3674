"""Two processes over gloo, started as a user would start them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

SCRIPT = """
import os, sys
from pathlib import Path
import torch
from jscc.train.__main__ import main
out = Path(sys.argv[1])
(out / f"pid-{os.environ['RANK']}").write_text(str(os.getpid()))
state = main(sys.argv[2:])
torch.save({"step": state.step, "model": state.model.state_dict()}, out / f"rank-{os.environ['RANK']}.pt")
"""


def start(
    out: Path, folders: tuple[Path, Path], processes: int, *more: str, script: str = SCRIPT
) -> "subprocess.Popen[str]":
    """Three pairs of patches a step, so that two processes have unequal shares; a view is often absent."""
    out.mkdir(exist_ok=True)
    (out / "script.py").write_text(script)
    pairs, mono = (str(folder) for folder in folders)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command += [str(out / "script.py"), str(out), "--preset", "tiny", "--pairs", pairs, "--mono", mono]
    command += ["--out", str(out / "run"), "--device", "cpu", "--threads", "1", "--patches", "3", "--pictures", "3"]
    command += ["--log-every", "1", "--full-precision", "--set", "draws.absent_other=0.5", *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)


def train(out: Path, folders: tuple[Path, Path], processes: int, *more: str) -> str:
    process = start(out, folders, processes, *more)
    printed, _ = process.communicate(timeout=500)
    assert process.returncode == 0, printed
    return printed


def moved(state: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([state[name].flatten() for name in sorted(state)])


@pytest.mark.timeout(600)
def test_two_processes_do_what_one_does(tmp_path: Path, picture_folders: tuple[Path, Path]) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    train(one, picture_folders, 1, "--steps", "4", "--stop-after", "1")
    printed = train(two, picture_folders, 2, "--steps", "4", "--stop-after", "1")
    assert "processes: 2" in printed
    assert printed.count("step 1/4") == 1
    # After one step the optimisers' momenta are the gradients, up to a factor: equal but for the order of sums.
    first, second = (torch.load(folder / "run" / "state.pt", weights_only=True) for folder in (one, two))
    names = ("momentum", "exp_avg")
    for alone, shared in zip(first["optimisers"], second["optimisers"], strict=True):
        for index, values in alone["state"].items():
            (name,) = (name for name in names if name in values)
            difference = (values[name] - shared["state"][index][name]).norm()
            assert difference <= 1e-4 * values[name].norm() + 1e-9
    before = moved(first["model"])

    for folder, processes in ((one, 1), (two, 2)):
        train(folder, picture_folders, processes, "--steps", "4", "--resume")
    left, right = (torch.load(two / f"rank-{rank}.pt", weights_only=True)["model"] for rank in (0, 1))
    assert all(torch.equal(left[name], right[name]) for name in left)
    alone = moved(torch.load(one / "rank-0.pt", weights_only=True)["model"])
    # Muon rounds its directions to bfloat16, which blows a last bit up to some thousandths of a step.
    assert float((moved(left) - alone).norm()) < 0.02 * float((alone - before).norm())
    losses = [
        [float(row.split(",")[1]) for row in (folder / "run" / "train.csv").read_text().splitlines()[1:]]
        for folder in (one, two)
    ]
    assert len(losses[0]) == 4
    assert losses[1] == pytest.approx(losses[0], abs=2e-3)
    assert json.loads((two / "run" / "run.json").read_text())["settings"]["patches"] == 3


@pytest.mark.timeout(600)
def test_a_signal_to_one_process_stops_both_at_the_same_step(
    tmp_path: Path, picture_folders: tuple[Path, Path]
) -> None:
    process = start(tmp_path, picture_folders, 2, "--steps", "100000")
    rows = tmp_path / "run" / "train.csv"
    until = time.monotonic() + 400
    while not (rows.exists() and len(rows.read_text().splitlines()) > 3):
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.1)
    os.kill(int((tmp_path / "pid-1").read_text()), signal.SIGTERM)
    printed, _ = process.communicate(timeout=200)
    assert process.returncode == 0, printed
    assert "stopped by a signal at step" in printed
    left, right = (torch.load(tmp_path / f"rank-{rank}.pt", weights_only=True) for rank in (0, 1))
    saved = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    assert left["step"] == right["step"] == saved["step"] > 0
    assert all(torch.equal(left["model"][name], right["model"][name]) for name in left["model"])


@pytest.mark.timeout(600)
def test_processes_that_do_not_share_their_folder_are_stopped(
    tmp_path: Path, picture_folders: tuple[Path, Path]
) -> None:
    train(tmp_path, picture_folders, 1, "--steps", "4", "--stop-after", "1")
    own = "[*sys.argv[2:], '--out', str(out / ('run', 'elsewhere')[int(os.environ['RANK'])])]"
    script = SCRIPT.replace("sys.argv[2:]", own)
    process = start(tmp_path, picture_folders, 2, "--steps", "4", "--resume", script=script)
    printed, _ = process.communicate(timeout=500)
    assert process.returncode != 0
    assert "process 0 is at step 1, others are not: share --out with all" in printed
