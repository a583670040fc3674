"""What the trainer says to mistakes: one line each."""

import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch

import jscc.release.bundle  # noqa: F401 - what --ship imports
from jscc.train.__main__ import check_ship, check_speed, check_team, main, on_device
from jscc.train.arguments import parser
from jscc.train.settings import TrainSettings
from tests.jscc.conftest import refusal, train


def test_a_resume_with_another_network_is_refused(tmp_path: Path, picture_folders: tuple[Path, Path]) -> None:
    train(tmp_path, picture_folders, "--stop-after", "1")
    with pytest.raises(SystemExit, match="made with another codec config"):
        train(tmp_path, picture_folders, "--baseline", "--resume")


def test_more_processes_than_pairs_are_refused(
    tmp_path: Path, picture_folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "2 processes cannot share 1 pairs: give --pictures" in refusal(tmp_path, picture_folders)
    check_team(4, TrainSettings(patches=12, pictures=4))
    check_team(8, TrainSettings(patches=12, pictures=4, whole_share=0))
    check_team(8, TrainSettings(patches=4, pictures=8, whole_share=1))
    for settings in (TrainSettings(patches=12, pictures=4), TrainSettings(patches=4, pictures=8)):
        with pytest.raises(ValueError, match="8 processes cannot share 4 pairs"):
            check_team(8, settings)


def test_what_cannot_be_begun_with_is_one_clear_line(
    tmp_path: Path, picture_folders: tuple[Path, Path], tiny_folder: Path
) -> None:
    (tmp_path / "empty").mkdir()
    for init, more, said in (
        (tmp_path / "empty", [], "neither a run (no state.pt) nor a codec (no model.safetensors)"),
        (tmp_path / "nowhere", [], "there is no such folder, and no weights called"),
        (tiny_folder, ["--set", "codec.decoder_widths=[16,16,16]"], "its decoder_widths is [16, 16, 8]"),
    ):
        message = refusal(tmp_path / "run", picture_folders, "--init", str(init), *more)
        assert f"--init {init}: " in message
        assert said in message
        assert not list((tmp_path / "run").iterdir())  # no train.csv of a run that never was
    (tmp_path / "broken").mkdir()
    for content in (b"nonsense", b"broken"):  # pickle stumbles over each in another way
        (tmp_path / "broken" / "state.pt").write_bytes(content)
        assert "damaged" in refusal(tmp_path / "run", picture_folders, "--init", str(tmp_path / "broken"))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--steps", "0"], "--steps is 0; it must be at least 1"),
        (["--patches", "0"], "--patches is 0"),
        (["--stop-after", "0"], "--stop-after is 0"),
        (["--log-every", "0"], "--log-every is 0"),
        (["--lr", "0"], "--lr is 0.0; it must be above 0"),
        (["--lr", "inf"], "--lr is inf"),
        (["--alpha", "nan"], "--alpha is nan; it must be at least 0, and finite"),
        (["--weight-decay", "-0.1"], "--weight-decay is -0.1"),
        (["--save-minutes", "-1"], "--save-minutes is -1.0; it must not be negative"),
        (["--seed", "-1"], "--seed is -1; it must be in 0...4294967295"),
        (["--whole-share", "1.5"], "--whole-share is 1.5; it must be in 0...1"),
        (["--pairs", "nowhere"], "--pairs: there is no folder nowhere"),
        (["--mono", "nowhere"], "--mono: there is no folder nowhere"),
        (["--val", "nowhere"], "--val: there is no folder nowhere"),
        (["--set", "codec.epipolar=2"], "the value must be like true"),
        (["--set", "epipolar=false"], "write PART.KEY=VALUE"),
        (["--set", "codec.decoder_kernel=4"], "kernel sizes must be odd"),
        (["--device", "toaster"], "--device toaster"),
        (["--threads", "-1"], "--threads is -1; it must be at least 0"),
        (["--minutes", "inf"], "--minutes is inf; it must be above 0, and finite"),
        (["--ship-seconds", "-100"], "--ship-seconds is -100.0; it must be at least 0, and finite"),
        (["--ship-seconds", "nan"], "--ship-seconds is nan; it must be at least 0"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(
    tmp_path: Path, picture_folders: tuple[Path, Path], more: list[str], said: str
) -> None:
    assert said in refusal(tmp_path, picture_folders, *more)


def test_a_training_needs_pictures_and_a_folder_of_its_own(tmp_path: Path, picture_folders: tuple[Path, Path]) -> None:
    assert "give --pairs or --mono" in refusal(tmp_path, picture_folders, "--pairs", "--mono")
    (tmp_path / "file").touch()
    message = refusal(tmp_path / "file" / "run", picture_folders)
    assert f"--out {tmp_path / 'file' / 'run'} cannot be written" in message
    train(tmp_path / "run", picture_folders, "--stop-after", "1")
    assert "add --resume" in refusal(tmp_path / "run", picture_folders)
    assert "made with another optimiser: muon" in refusal(
        tmp_path / "run", picture_folders, "--resume", "--optimiser", "adamw"
    )


def test_pictures_that_would_have_to_grow_are_refused(tmp_path: Path, picture_folders: tuple[Path, Path]) -> None:
    for place in ("left", "right", "mono"):
        (tmp_path / place).mkdir()
        cv2.imwrite(str(tmp_path / place / "0.png"), np.zeros((128, 255, 3), np.uint8))
    for option, folder, first in (("--pairs", tmp_path, "left"), ("--mono", tmp_path / "mono", ".")):
        said = f"{folder / first / '0.png'} is 128x255 (rows x columns); training needs at least 128x256"
        assert said in refusal(tmp_path / "run", picture_folders, option, str(folder))


def test_ctrl_c_before_the_first_step_is_one_line(
    tmp_path: Path, picture_folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("jscc.train.__main__.start", interrupted)
    assert "stopped before this call's first step; what was saved stays" in refusal(tmp_path, picture_folders)


def test_validation_wants_two_pairs_that_are_large_enough(tmp_path: Path, picture_folders: tuple[Path, Path]) -> None:
    for side in ("left", "right"):
        (tmp_path / side).mkdir()
        cv2.imwrite(str(tmp_path / side / "0.png"), np.zeros((128, 256, 3), np.uint8))
    assert "needs at least 2" in refusal(tmp_path / "run", picture_folders, "--val", str(tmp_path))
    for side in ("left", "right"):
        cv2.imwrite(str(tmp_path / side / "1.png"), np.zeros((127, 256, 3), np.uint8))
    message = refusal(tmp_path / "run", picture_folders, "--val", str(tmp_path))
    assert f"{tmp_path / 'left' / '1.png'} is 127x256 (rows x columns); validation needs at least 128x256" in message


def test_ms_ssim_training_needs_whole_pictures(tmp_path: Path, picture_folders: tuple[Path, Path]) -> None:
    with pytest.raises(SystemExit, match="--whole-share 1"):
        train(tmp_path, picture_folders, "--loss", "ms-ssim")


def test_what_makes_steps_faster_is_refused_where_it_does_nothing(
    tmp_path: Path, picture_folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a word the training would be a slow one, or on the CPU."""
    pairs = ["--preset", "tiny", "--pairs", str(picture_folders[0]), "--out", str(tmp_path / "run"), "--steps", "1"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="--graph on needs a CUDA device, not cpu; leave it out, or give --device"):
        main([*pairs, "--graph", "on"])
    for more in ([], ["--pictures-on", "host"]):
        line = refusal(tmp_path / "run", picture_folders, "--compile", "on", *more)
        assert "--compile on is for pictures that lie on the device; give --pictures-on device, or leave it out" in line

    monkeypatch.setattr("jscc.train.__main__.read_device", lambda name: torch.device("cuda:0"))
    said = "--graph on is for pictures that lie on the device; "
    assert f"{said}give --pictures-on device" in refusal(
        tmp_path / "run", picture_folders, "--graph", "on", "--pictures-on", "host"
    )
    monkeypatch.setenv("WORLD_SIZE", "2")
    for option in ("--graph", "--compile"):
        line = refusal(tmp_path / "run", picture_folders, option, "on", "--pictures", "2")
        assert f"{option} on is for pictures that lie on the device; leave torchrun out, or leave it out" in line
    assert not (tmp_path / "run").exists()


def test_where_pictures_lie_by_default() -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda:0")
    for more, device, there in (
        ([], cpu, False), ([], cuda, True), (["--pack", "p"], cpu, True), (["--pictures-on", "host"], cuda, False),
        (["--pictures-on", "device"], cpu, True),
    ):  # fmt: skip
        args = parser().parse_args(["--out", "run", *more])
        assert on_device(args, device) is there
        check_speed(args, device)  # what is chosen by itself is never refused


def test_where_no_codec_can_be_made_nothing_is_trained(tmp_path: Path, picture_folders: tuple[Path, Path]) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "codec"):
        line = refusal(tmp_path / "run", picture_folders, "--ship", str(folder))
        assert f"--ship {folder} cannot be written: Not a directory" in line
    check_ship(tmp_path / "some" / "codec")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(("library", "importer"), [("onnx", "jscc.release.bundle"), ("onnxscript", "onnxscript")])
def test_what_a_codec_is_made_with_is_there_before_the_training(
    tmp_path: Path,
    picture_folders: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    library: str,
    importer: str,
) -> None:
    def missing(name: str) -> ModuleType:
        if name == importer:
            raise ModuleNotFoundError(f"No module named {library!r}", name=library)
        return sys.modules[name]

    monkeypatch.setattr("jscc.train.__main__.import_module", missing)
    line = refusal(tmp_path / "run", picture_folders, "--ship", str(tmp_path / "codec"))
    assert f"{library} is not installed; in a checkout of vergence: pip install '.[train]'" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("error", "said"),
    [(OSError(28, "No space left on device"), "[Errno 28] No space left on device"), (KeyboardInterrupt(), "stopped")],
    ids=["full-disk", "ctrl-c"],
)
def test_a_codec_that_could_not_be_made_can_be_made_later(
    tmp_path: Path,
    picture_folders: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    said: str,
) -> None:
    def ship(*arguments: object) -> str:
        raise error

    monkeypatch.setattr("jscc.release.bundle.ship", ship)
    line = refusal(tmp_path, picture_folders, "--ship", str(tmp_path / "codec"), "--data", "noise (CC0)")
    command = f"python -m jscc.ship --run {tmp_path} --out {tmp_path / 'codec'} --data 'noise (CC0)'"
    assert f"no codec was made: {said}; " in line
    assert line.endswith(f"{tmp_path / 'state.pt'} is saved: {command}")
    assert (tmp_path / "state.pt").exists()


def test_ctrl_c_while_the_speed_is_measured_is_one_line(
    tmp_path: Path, picture_folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("jscc.train.__main__.plan", interrupted)
    assert "stopped before this call's first step" in refusal(tmp_path, picture_folders, "--minutes", "1")
