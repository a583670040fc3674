import json
from pathlib import Path

import pytest
import torch

from jscc.linear import LinearDecoder, LinearEncoder, start_from_components
from jscc.losses import distortion, pair_loss
from jscc.metrics import ms_ssim, psnr
from jscc.optimiser import make_optimisers, orthogonal
from jscc.ship import ship
from jscc.train import TrainSettings, main
from jscc.trainstate import read_ema


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


def test_a_run_can_be_shipped(tmp_path: Path, picture_folders: tuple[Path, Path]) -> None:
    train(tmp_path / "run", picture_folders, "--stop-after", "2")
    ship(tmp_path / "run", tmp_path / "weights" / "mine", None, [])
    names = {path.name for path in (tmp_path / "weights" / "mine").iterdir()}
    assert names == {"model.safetensors", "encoder.onnx", "decoder.onnx", "card.md"}
    card = (tmp_path / "weights" / "mine" / "card.md").read_text()
    assert "Trained 2 of 6 steps" in card
    assert "non-commercial" in card


def test_a_resume_with_another_network_is_refused(tmp_path: Path, picture_folders: tuple[Path, Path]) -> None:
    train(tmp_path, picture_folders, "--stop-after", "1")
    with pytest.raises(ValueError, match="made with another codec config"):
        train(tmp_path, picture_folders, "--baseline", "--resume")


def test_a_run_describes_itself(tmp_path: Path, picture_folders: tuple[Path, Path]) -> None:
    train(tmp_path, picture_folders, "--stop-after", "2")
    described = json.loads((tmp_path / "run.json").read_text())
    assert described["settings"]["seed"] == 1
    assert (tmp_path / "train.csv").read_text().startswith("step,loss,psnr,lr,seconds")


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
