import glob
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from jscc.export import export
from jscc.linear import LinearDecoder, LinearEncoder, start_from_components
from jscc.losses import distortion, pair_loss
from jscc.metrics import ms_ssim, psnr
from jscc.models import load
from jscc.optimiser import make_optimisers, orthogonal
from jscc.runfolder import RunFolder
from jscc.runlog import read_table
from jscc.schedule import TrainSettings
from jscc.ship import ship
from jscc.train import check_team, main
from jscc.trainstate import read_ema
from jscc.transfer import without_neighbour
from jscc.validate import NEIGHBOURS, read_validation


def train(out: Path, folders: tuple[Path, Path], *more: str) -> dict[str, torch.Tensor]:
    pairs, mono = folders
    arguments = ["--preset", "tiny", "--pairs", str(pairs), "--mono", str(mono), "--out", str(out)]
    arguments += [
        "--steps",
        "6",
        "--patches",
        "2",
        "--pictures",
        "1",
        "--log-every",
        "2",
        "--threads",
        "1",
        "--device",
        "cpu",
    ]
    return main([*arguments, *more]).model.state_dict()


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


def test_a_run_can_be_shipped(
    tmp_path: Path, picture_folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path / "run", picture_folders, "--stop-after", "2")
    weights, seen = tmp_path / "weights", []

    def look(weights_file: Path, folder: Path) -> None:
        seen.extend(path.name for path in weights.iterdir())
        assert not glob.glob(str(weights / "*" / "*"))  # what the package would take if it ended here
        export(weights_file, folder)

    monkeypatch.setattr("jscc.ship.export", look)
    ship(tmp_path / "run", weights / "mine", None, [])
    assert seen == ["mine"]
    names = {path.name for path in (tmp_path / "weights" / "mine").iterdir()}
    assert names == {"model.safetensors", "encoder.onnx", "decoder.onnx", "card.md"}
    card = (tmp_path / "weights" / "mine" / "card.md").read_text()
    assert "Trained 2 of 6 steps" in card
    assert "**Pictures and licence.** Not stated." in card
    assert "Pictures: 3 colour pairs, 1 grey pairs and 2 single ones, from `pairs`, `mono`." in card


def test_a_resume_with_another_network_is_refused(tmp_path: Path, picture_folders: tuple[Path, Path]) -> None:
    train(tmp_path, picture_folders, "--stop-after", "1")
    with pytest.raises(SystemExit, match="made with another codec config"):
        train(tmp_path, picture_folders, "--baseline", "--resume")


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
    (tmp_path / "run.json").write_text("{")
    assert "run.json cannot be read" in refusal(tmp_path, picture_folders, "--resume")


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
    train(tmp_path, picture_folders)
    assert "finished: python -m jscc.ship --run" in capsys.readouterr().out
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    train(tmp_path, picture_folders, "--resume", "--lr", "1e-5")
    assert "is at step 6 of 6: there is nothing to do" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_a_step_that_is_not_finite_ends_the_run_and_spoils_nothing(
    tmp_path: Path, picture_folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path, picture_folders, "--stop-after", "2")
    saved = (tmp_path / "state.pt").read_bytes()

    def spoilt(*arguments: object) -> torch.Tensor:
        loss: torch.Tensor = pair_loss(*arguments) * float("nan")  # type: ignore[arg-type]
        return loss

    monkeypatch.setattr("jscc.step.pair_loss", spoilt)
    message = refusal(tmp_path, picture_folders, "--resume")
    assert "the gradients of step 2 are not finite; a lower --lr" in message
    assert (tmp_path / "state.pt").read_bytes() == saved


def test_a_short_run_has_a_row_of_its_last_step(tmp_path: Path, picture_folders: tuple[Path, Path]) -> None:
    train(tmp_path, picture_folders, "--log-every", "50")
    (row,) = read_table(tmp_path, "train")
    assert row["step"] == 6
    assert row["lr"] == pytest.approx(TrainSettings(steps=6).lr_at(5), rel=1e-5)


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


def test_a_run_begins_with_the_average_of_another(tmp_path: Path, picture_folders: tuple[Path, Path]) -> None:
    train(tmp_path / "first", picture_folders, "--stop-after", "2")
    average = read_ema(tmp_path / "first" / "state.pt")[0].state_dict()
    begun = train(
        tmp_path / "second", picture_folders, "--init", str(tmp_path / "first"), "--seed", "7", "--lr", "1e-30"
    )
    assert all(torch.allclose(begun[name], average[name]) for name in average)
    about = json.loads((tmp_path / "second" / "run.json").read_text())
    assert about["settings"]["seed"] == 7
    before = about["before"]
    assert (before["from"], before["step"], before["settings"]["seed"]) == ("first", 2, 1)


def test_a_run_begins_with_a_codec(tmp_path: Path, picture_folders: tuple[Path, Path], tiny_folder: Path) -> None:
    wanted = load(tiny_folder)
    begun = train(tmp_path / "run", picture_folders, "--init", str(tiny_folder), "--lr", "1e-30")
    assert all(torch.allclose(begun[name], tensor) for name, tensor in wanted.model.state_dict().items())
    assert json.loads((tmp_path / "run" / "run.json").read_text())["before"]["from"] == wanted.codec_hash


def test_a_baseline_begins_with_a_joint_codec(
    tmp_path: Path, picture_folders: tuple[Path, Path], tiny_folder: Path
) -> None:
    begun = train(tmp_path / "run", picture_folders, "--baseline", "--init", str(tiny_folder), "--lr", "1e-30")
    wanted = without_neighbour(load(tiny_folder).model.state_dict())
    assert begun.keys() == wanted.keys()
    assert all(torch.allclose(begun[name], tensor) for name, tensor in wanted.items())


def test_what_cannot_be_begun_with_is_one_clear_line(
    tmp_path: Path, picture_folders: tuple[Path, Path], tiny_folder: Path
) -> None:
    (tmp_path / "empty").mkdir()
    for init, more, said in (
        (tmp_path / "empty", [], "neither a run (no state.pt) nor a codec (no model.safetensors)"),
        (tmp_path / "nowhere", [], "no weights called"),
        (tiny_folder, ["--set", "codec.decoder_widths=[16,16,16]"], "weights do not fit the config"),
    ):
        message = refusal(tmp_path / "run", picture_folders, "--init", str(init), *more)
        assert f"--init {init}: " in message
        assert said in message
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "state.pt").write_bytes(b"nonsense")
    assert "damaged" in refusal(tmp_path / "run", picture_folders, "--init", str(tmp_path / "broken"))


def refusal(out: Path, folders: tuple[Path, Path], *more: str) -> str:
    """The one line that a training ends with before it begins."""
    with pytest.raises(SystemExit) as caught:
        train(out, folders, *more)
    message = str(caught.value)
    assert message.startswith("python -m jscc.train: ")
    assert "\n" not in message
    return message


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
        (["--val", "nowhere"], "no pictures (.png, .jpg) below nowhere"),
        (["--set", "codec.epipolar=2"], "the value must be like true"),
        (["--set", "epipolar=false"], "write PART.KEY=VALUE"),
        (["--set", "codec.decoder_kernel=4"], "kernel sizes must be odd"),
        (["--device", "toaster"], "--device toaster"),
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


def test_validation_wants_two_pairs_that_are_large_enough(tmp_path: Path, picture_folders: tuple[Path, Path]) -> None:
    for side in ("left", "right"):
        (tmp_path / side).mkdir()
        cv2.imwrite(str(tmp_path / side / "0.png"), np.zeros((128, 256, 3), np.uint8))
    assert "needs at least 2" in refusal(tmp_path / "run", picture_folders, "--val", str(tmp_path))
    for side in ("left", "right"):
        cv2.imwrite(str(tmp_path / side / "1.png"), np.zeros((127, 256, 3), np.uint8))
    message = refusal(tmp_path / "run", picture_folders, "--val", str(tmp_path))
    assert "a picture has 127x256 pixels; validation wants at least 128x256" in message


def test_of_larger_pictures_validation_takes_the_centre(tmp_path: Path) -> None:
    for side, value in (("left", 100), ("right", 200)):
        (tmp_path / side).mkdir()
        picture = np.zeros((300, 530, 3), np.uint8)
        picture[17:282] = value  # 265 x 530 is the largest window of 2:1
        cv2.imwrite(str(tmp_path / side / "0.png"), picture)
        cv2.imwrite(str(tmp_path / side / "1.png"), picture[20:148, 30:286])
    pairs = read_validation(tmp_path)
    assert pairs.shape == (2, 2, 3, 128, 256)
    assert [pairs[:, view].unique().tolist() for view in (0, 1)] == [[pytest.approx(v / 255)] for v in (100, 200)]


def test_patches_first_then_whole_pictures_and_a_cosine() -> None:
    settings = TrainSettings(steps=1000, warm_up=100, lr=1.0, whole_share=0.25)
    assert settings.size_at(749) == (12, (64, 128))
    assert settings.size_at(750) == (4, (128, 256))
    assert settings.lr_at(0) == pytest.approx(0.01)
    assert settings.lr_at(99) > 0.95
    assert settings.lr_at(999) == pytest.approx(0.01)


def test_ms_ssim_training_needs_whole_pictures(tmp_path: Path, picture_folders: tuple[Path, Path]) -> None:
    with pytest.raises(SystemExit, match="--whole-share 1"):
        train(tmp_path, picture_folders, "--loss", "ms-ssim")


def test_principal_components_make_the_linear_path_nearly_perfect_on_simple_patches() -> None:
    torch.manual_seed(0)
    basis = torch.randn(20, 3 * 64) * 0.02
    patches = (torch.randn(500, 20) @ basis).reshape(-1, 3, 8, 8) + 0.5
    encoder, decoder = LinearEncoder(20), LinearDecoder(20)
    start_from_components(encoder, decoder, patches)
    latent = encoder(patches)
    latent = latent / (2 * latent.square().mean()).sqrt()  # the power normalisation, over all of them
    restored = decoder(latent, torch.full((500,), 20.0))
    assert psnr(restored, patches).mean().item() > 40


def test_losses_and_metrics_on_known_errors() -> None:
    truth = torch.full((2, 2, 3, 128, 256), 0.5)
    decoded = truth + torch.tensor([0.1, 0.01])[None, :, None, None, None]
    present = torch.tensor([[True, True], [True, False]])
    assert float(pair_loss(decoded, truth, present, "mse")) == pytest.approx((0.01 + 0.0001 + 0.01) / 2, rel=1e-4)
    assert float(pair_loss(decoded, truth, present, "mse", alpha=0.0)) == pytest.approx(0.01, rel=1e-4)
    torch.testing.assert_close(psnr(decoded[0], truth[0]), torch.tensor([20.0, 40.0]), atol=1e-3, rtol=0)
    assert float(psnr(truth[0] + 0.7, truth[0])[0]) == pytest.approx(6.0206, abs=1e-3)  # clamped to 1
    noisy = torch.rand(1, 3, 128, 256)
    assert float(distortion(noisy, noisy, "ms-ssim")) == pytest.approx(0, abs=1e-5)
    assert float(ms_ssim(noisy, 1 - noisy)) < 0.5


def test_muon_steps_are_nearly_orthogonal_and_share_work_with_adamw() -> None:
    torch.manual_seed(0)
    singular = torch.linalg.svdvals(orthogonal(torch.randn(24, 40)).float())
    assert float(singular.min()) > 0.5
    assert float(singular.max()) < 1.4
    model = torch.nn.Sequential(torch.nn.Conv2d(16, 32, 3), torch.nn.Conv2d(32, 4, 3))
    muon, adamw = make_optimisers(model, "muon", 1e-3, 0.0)
    assert [p.shape[0] for p in muon.param_groups[0]["params"]] == [32]
    assert len(adamw.param_groups[0]["params"]) == 3
    with pytest.raises(ValueError, match="allowed: adamw, muon"):
        make_optimisers(model, "sgd", 1e-3, 0.0)
