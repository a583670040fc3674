"""Trainings that begin with the weights of others."""

import json
from pathlib import Path

import pytest
import torch

from jscc.model.codec import load
from jscc.model.transfer import without_neighbour
from jscc.train.state import read_ema
from tests.jscc.conftest import refusal, train


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


def test_a_deeper_run_begins_with_a_shallower_codec(
    tmp_path: Path, picture_folders: tuple[Path, Path], tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deeper = ("--set", "codec.decoder_blocks=[1,2,0,1,1]")
    run = tmp_path / "run"
    begun = train(run, picture_folders, "--init", str(tiny_folder), "--lr", "1e-30", "--stop-after", "1", *deeper)
    for name, tensor in load(tiny_folder).model.state_dict().items():
        assert torch.allclose(begun[name], tensor)
    new = sorted({".".join(name.split(".")[:3]) for name in begun.keys() - load(tiny_folder).model.state_dict().keys()})
    assert new == ["decoder.at2.0", "decoder.at8_after.1"]
    assert all(float(begun[f"{block}.conv2.weight"].abs().max()) < 1e-20 for block in new)
    assert f"new residual blocks, which add nothing at first: {', '.join(new)}\n" in capsys.readouterr().out

    said = "its decoder_blocks is [1, 2, 0, 1, 1], asked for is [1, 1, 0, 1, 0] (--set codec.decoder_blocks=...)"
    resumed = refusal(run, picture_folders, "--resume")
    assert f"made with another codec config: {said}" in resumed
    assert f"--init {run}: {said}" in refusal(tmp_path / "second", picture_folders, "--init", str(run))


def test_a_baseline_begins_with_a_joint_codec(
    tmp_path: Path, picture_folders: tuple[Path, Path], tiny_folder: Path
) -> None:
    begun = train(tmp_path / "run", picture_folders, "--baseline", "--init", str(tiny_folder), "--lr", "1e-30")
    wanted = without_neighbour(load(tiny_folder).model.state_dict())
    assert begun.keys() == wanted.keys()
    assert all(torch.allclose(begun[name], tensor) for name, tensor in wanted.items())


def test_of_weights_that_do_not_fit_only_what_hinders_is_named(
    tmp_path: Path, picture_folders: tuple[Path, Path]
) -> None:
    train(tmp_path / "alone", picture_folders, "--baseline", "--stop-after", "1")
    deeper = ("--set", "codec.decoder_blocks=[1,2,0,1,1]")
    init = f"--init {tmp_path / 'alone'}"
    message = refusal(tmp_path / "run", picture_folders, *init.split(), *deeper)
    assert message.endswith(f"{init}: its joint is false, asked for is true (--baseline)")
    message = refusal(
        tmp_path / "run", picture_folders, *init.split(), "--set", "codec.linear_path=false", "--baseline"
    )
    assert message.endswith(f"{init}: its linear_path is true, asked for is false (--set codec.linear_path=...)")
    resumed = refusal(tmp_path / "alone", picture_folders, "--baseline", "--resume", "--preset", "small")
    assert resumed.endswith("made with --preset tiny, asked for is --preset small")
    message = refusal(tmp_path / "run", picture_folders, *init.split(), "--baseline", "--preset", "small")
    assert message.endswith(f"{init}: made with --preset tiny, asked for is --preset small")


def test_a_larger_decoder_is_trained_for_a_frozen_encoder(
    tmp_path: Path, picture_folders: tuple[Path, Path], tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The encoder stays bit for bit, also in the average; of the decoder what fits is taken over."""
    larger = ("--init", str(tiny_folder), "--freeze-encoder", "--set", "codec.decoder_widths=[24,16,8]")
    for where in ("host", "device"):
        begun = train(tmp_path / where, picture_folders, *larger, "--pictures-on", where)
        average = read_ema(tmp_path / where / "state.pt")[0].state_dict()
        wanted = load(tiny_folder).model.state_dict()
        encoder = [name for name in wanted if name.startswith("encoder.")]
        assert all(torch.equal(begun[name], wanted[name]) for name in encoder)
        assert all(torch.equal(average[name], wanted[name]) for name in encoder)
        assert begun["decoder.stem.conv.weight"].shape[0] == 24
        said = capsys.readouterr().out
        assert "new: decoder.stem" in said
        assert "decoder.linear" not in said
        about = json.loads((tmp_path / where / "run.json").read_text())
        assert f"new: {', '.join(about['fresh'])}\n" in said
    assert "begun with --freeze-encoder" in refusal(
        tmp_path / "host", picture_folders, "--resume", "--set", "codec.decoder_widths=[24,16,8]"
    )
    other = ("--init", str(tiny_folder), "--freeze-encoder", "--set", "codec.encoder_widths=[8,12,24]")
    assert "its encoder is another one" in refusal(tmp_path / "other", picture_folders, *other)
    order = ("--init", str(tiny_folder), "--freeze-encoder", "--set", "codec.interleaver=none")
    said = refusal(tmp_path / "order", picture_folders, *order)
    assert 'its interleaver is "golden", asked for is "none" (--set codec.interleaver=...)' in said


def test_a_run_from_before_there_was_an_order_goes_on_without_one(
    tmp_path: Path, picture_folders: tuple[Path, Path]
) -> None:
    run = tmp_path / "run"
    train(run, picture_folders, "--set", "codec.interleaver=none", "--stop-after", "1")
    saved = torch.load(run / "state.pt", weights_only=True)
    del saved["config"]["interleaver"]
    torch.save(saved, run / "state.pt")
    message = refusal(run, picture_folders, "--resume")
    assert 'its interleaver is "none", asked for is "golden" (--set codec.interleaver=...)' in message
    train(run, picture_folders, "--resume", "--set", "codec.interleaver=none")
    assert read_ema(run / "state.pt")[1] > 1


def test_the_order_is_no_hindrance_to_begin_with_other_weights(
    tmp_path: Path, picture_folders: tuple[Path, Path]
) -> None:
    train(tmp_path / "none", picture_folders, "--set", "codec.interleaver=none", "--stop-after", "1")
    begun = train(tmp_path / "golden", picture_folders, "--init", str(tmp_path / "none"), "--lr", "1e-30")
    assert read_ema(tmp_path / "golden" / "state.pt")[0].config.interleaver == "golden"
    wanted = read_ema(tmp_path / "none" / "state.pt")[0].state_dict()
    assert all(torch.allclose(begun[name], wanted[name]) for name in wanted)
