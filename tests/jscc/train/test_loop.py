import glob
import json
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from jscc.release.bundle import ship
from jscc.release.onnx import export
from jscc.train.loss import pair_loss
from jscc.train.run_folder import RunFolder
from jscc.train.run_log import read_table
from jscc.train.settings import TrainSettings
from jscc.train.state import read_ema
from jscc.train.validation import NEIGHBOURS
from tests.jscc.conftest import refusal, train


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_an_interrupted_training_ends_with_the_same_weights(
    tmp_path: Path, picture_folders: tuple[Path, Path], optimiser: str
) -> None:
    whole = train(tmp_path / "whole", picture_folders, "--optimiser", optimiser)
    train(tmp_path / "parts", picture_folders, "--optimiser", optimiser, "--stop-after", "3")
    assert read_ema(tmp_path / "parts" / "state.pt")[1] == 3
    parts = train(tmp_path / "parts", picture_folders, "--optimiser", optimiser, "--resume")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    averaged = (read_ema(tmp_path / name / "state.pt")[0].state_dict() for name in ("whole", "parts"))
    assert all(torch.equal(a, b) for a, b in zip(*(d.values() for d in averaged), strict=True))


@pytest.mark.parametrize("place", ["host", "device"])
def test_a_run_of_several_sizes_goes_on_where_it_stopped(
    tmp_path: Path, picture_folders: tuple[Path, Path], place: str
) -> None:
    """Steps 3, 4 and 5 are of whole pictures: with this seed of both sizes, before and after the stop."""
    options = ("--sizes", "128x256,144x320", "--whole-share", "0.5", "--seed", "4", "--pictures-on", place)
    settings = TrainSettings(steps=6, whole_share=0.5, seed=4, sizes=("128x256", "144x320"))
    assert len({settings.size_at(step)[1] for step in range(3, 6)}) == 2
    whole = train(tmp_path / "whole", picture_folders, *options)
    train(tmp_path / "parts", picture_folders, *options, "--stop-after", "4")
    parts = train(tmp_path / "parts", picture_folders, *options, "--resume")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert RunFolder(tmp_path / "parts").path.joinpath("run.json").read_text().count("144x320") == 1


def test_a_size_that_no_picture_has_is_named(tmp_path: Path, picture_folders: tuple[Path, Path]) -> None:
    line = refusal(tmp_path, picture_folders, "--sizes", "128x256,256x512")
    assert "--sizes has 256x512, and no picture is so large; leave it out, or give larger pictures" in line


def test_a_run_can_be_shipped(
    tmp_path: Path, picture_folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path / "run", picture_folders, "--stop-after", "2")
    weights = tmp_path / "weights"
    seen: list[str] = []

    def look(weights_file: Path, folder: Path) -> None:
        seen.extend(path.name for path in weights.iterdir())
        assert not glob.glob(str(weights / "*" / "*"))  # what the package would take if it ended here
        export(weights_file, folder)

    monkeypatch.setattr("jscc.release.bundle.export", look)
    ship(tmp_path / "run", weights / "mine", None, [])
    assert seen == ["mine"]
    names = {path.name for path in (tmp_path / "weights" / "mine").iterdir()}
    assert names == {"model.safetensors", "encoder.onnx", "decoder.onnx", "card.md", "SHA256SUMS"}
    card = (tmp_path / "weights" / "mine" / "card.md").read_text()
    assert "Trained 2 of 6 steps" in card
    assert "**Pictures and licence.** Not stated." in card
    assert "Pictures: 3 colour pairs, 1 grey pairs and 2 single ones, from `pairs`, `mono`." in card


def test_a_resume_with_other_settings_says_so_and_is_described(
    tmp_path: Path, picture_folders: tuple[Path, Path], tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path, picture_folders, "--stop-after", "1")
    train(tmp_path, picture_folders, "--stop-after", "1", "--resume")
    assert "changed:" not in capsys.readouterr().out
    more = ["--lr", "1e-3", "--weight-decay", "0", "--mono", "--set", "draws.absent_other=0.1"]
    train(tmp_path, picture_folders, "--stop-after", "1", "--resume", "--init", str(tiny_folder), *more)
    printed = capsys.readouterr().out
    assert (
        "changed: lr 0.002 -> 0.001, weight_decay 0.01 -> 0.0, draws.absent_other 0.05 -> 0.1, mono ['mono'] -> [],"
        " single 2 -> 0\n" in printed
    )
    assert f"--init {tiny_folder} does nothing here" in printed
    about = json.loads((tmp_path / "run.json").read_text())
    assert (about["settings"]["lr"], about["settings"]["draws"]["absent_other"], about["data"]["mono"]) == (
        1e-3,
        0.1,
        [],
    )
    assert about["preset"] == "tiny"
    (earlier,) = about["earlier"]
    assert (earlier["until"], earlier["settings"]["lr"]) == (2, 2e-3)
    groups = [g for o in torch.load(tmp_path / "state.pt", weights_only=True)["optimisers"] for g in o["param_groups"]]
    assert {group["weight_decay"] for group in groups} == {0.0}
    for broken in ("{", "{}", "[]"):
        (tmp_path / "run.json").write_text(broken)
        assert "run.json cannot be read" in refusal(tmp_path, picture_folders, "--resume")


def test_settings_that_no_saved_step_was_made_with_are_forgotten(
    tmp_path: Path, picture_folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path, picture_folders, "--stop-after", "2")

    def fails(*arguments: object) -> torch.Tensor:
        raise MemoryError

    monkeypatch.setattr("jscc.train.step.pair_loss", fails)
    with pytest.raises(MemoryError):
        train(tmp_path, picture_folders, "--resume", "--lr", "1e-3")
    monkeypatch.undo()
    train(tmp_path, picture_folders, "--resume", "--stop-after", "1", "--alpha", "0.5")
    (earlier,) = json.loads((tmp_path / "run.json").read_text())["earlier"]
    assert (earlier["until"], earlier["settings"]["lr"], earlier["settings"]["alpha"]) == (2, 2e-3, 1.0)


def test_a_run_describes_itself(tmp_path: Path, picture_folders: tuple[Path, Path]) -> None:
    train(tmp_path, picture_folders, "--stop-after", "2")
    described = json.loads((tmp_path / "run.json").read_text())
    assert described["settings"]["seed"] == 1
    assert described["data"] == {
        "pairs": ["pairs"], "mono": ["mono"], "colour_pairs": 3, "grey_pairs": 1, "single": 2
    }  # fmt: skip
    assert (tmp_path / "train.csv").read_text().startswith("step,loss,psnr,lr,seconds,session")


def test_a_finished_run_stays_as_it_is(
    tmp_path: Path, picture_folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "my run"
    train(folder, picture_folders)
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("finished: "))
    assert shlex.split(line)[1:6] == ["python", "-m", "jscc.ship", "--run", str(folder)]
    assert shlex.split(line)[-2:] == ["--data", "PICTURES (LICENCE)"]
    files = {path: path.read_bytes() for path in folder.iterdir()}
    train(folder, picture_folders, "--resume", "--lr", "1e-5")
    assert "is at step 6 of 6: there is nothing to do" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in folder.iterdir()} == files


def test_a_step_that_is_not_finite_ends_the_run_and_spoils_nothing(
    tmp_path: Path, picture_folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path, picture_folders, "--stop-after", "2")
    saved = (tmp_path / "state.pt").read_bytes()

    def spoilt(*arguments: object) -> torch.Tensor:
        loss: torch.Tensor = pair_loss(*arguments) * float("nan")  # type: ignore[arg-type]
        return loss

    monkeypatch.setattr("jscc.train.step.pair_loss", spoilt)
    message = refusal(tmp_path, picture_folders, "--resume")
    assert "the gradients of step 2 are not finite; a lower --lr" in message
    assert (tmp_path / "state.pt").read_bytes() == saved


def test_a_short_run_has_a_row_of_its_last_step(tmp_path: Path, picture_folders: tuple[Path, Path]) -> None:
    train(tmp_path, picture_folders, "--log-every", "50")
    (row,) = read_table(tmp_path, "train")
    assert row["step"] == 6
    assert row["lr"] == pytest.approx(TrainSettings(steps=6).lr_at(5), rel=1e-5)


@pytest.fixture(scope="session")
def val_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pairs of 128x256 pictures."""
    folder = tmp_path_factory.mktemp("val")
    rng = np.random.default_rng(2)
    for side in ("left", "right"):
        (folder / side).mkdir()
        for index in range(3):
            coarse = rng.integers(0, 256, (8, 16, 3), dtype=np.uint8)
            picture = cv2.resize(coarse, (256, 128), interpolation=cv2.INTER_CUBIC)
            cv2.imwrite(str(folder / side / f"{index}.png"), picture)
    return folder


def test_a_validation_leaves_a_row_and_pictures(
    tmp_path: Path, picture_folders: tuple[Path, Path], val_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "val.csv").write_text("step,true@-2,absent@-2\n1,20.0,19.0\n")  # of an older version
    train(tmp_path, picture_folders, "--val", str(val_folder), "--val-every", "1", "--stop-after", "1")
    header, row = (tmp_path / "val.csv").read_text().splitlines()
    assert header.split(",")[:4] == ["step", "true@-2", "better@-2", "noiseless@-2"]
    assert header.split(",")[-3:] == ["ms-ssim@-2", "ms-ssim@4", "ms-ssim@12"]
    assert len(row.split(",")) == 1 + 3 * len(NEIGHBOURS) + 3
    assert all(0 < float(value) < 1 for value in row.split(",")[-3:])
    assert (tmp_path / "val-1.csv").read_text().startswith("step,true@-2,absent@-2")
    grid = cv2.imread(str(tmp_path / "val-1.png"))
    assert grid is not None
    assert grid.shape[0] > 3 * 128
    assert grid.shape[1] > 4 * 256
    printed = capsys.readouterr().out
    assert "val.csv had other columns" in printed
    assert "better" in printed


def test_rows_of_one_kind_stay_in_one_file(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.row("val", {"step": 1, "true": 20.123456})
    folder.row("val", {"step": 2, "true": 21})
    assert (tmp_path / "val.csv").read_text().split() == ["step,true", "1,20.12346", "2,21"]
    assert not (tmp_path / "val-1.csv").exists()
