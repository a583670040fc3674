import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from jscc.model.checkpoint import load_weights, rounded, save_weights
from jscc.model.codec import Codec, JointCodec, load
from jscc.model.config import preset
from jscc.release import bundle
from jscc.release.bundle import main as ship_main
from jscc.release.bundle import replaced, ship, timed
from jscc.release.model_card import model_card
from jscc.train.__main__ import main as train_main
from jscc.train.link_sampling import LinkSampling
from jscc.train.validation import NEIGHBOURS, ms_ssim_table, neighbour_table
from wire import codec_manifest
from wire.codec import WEIGHTS_FILE, load_onnx

SETTINGS: dict[str, Any] = {
    "steps": 3400, "seed": 1, "lr": 2e-3, "optimiser": "muon", "loss": "log-mse", "ema": 0.999, "patches": 12,
    "pictures": 4, "whole_share": 0.25, "mixture": {"mono_share": 0.35},
    "draws": {
        "better_other": 0.2, "noiseless_other": 0.13, "absent_other": 0.05, "fast_fading": 0.15, "block_fading": 0
    },
}  # fmt: skip
FIRST: dict[str, Any] = {"preset": "tiny", "step": 3400, "settings": SETTINGS, "seconds": 4140}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Codec:
    """A codec without ONNX files, which take long to make and which no card reads."""
    model = JointCodec(preset("tiny"))
    path = tmp_path_factory.mktemp("weights") / WEIGHTS_FILE
    save_weights(path, model.config, rounded(model), {"preset": "tiny"})
    return load(path)


def later(**changes: object) -> dict[str, Any]:
    """A training that went on from the first."""
    about = {"preset": "tiny", "step": 900, "settings": {**SETTINGS, **changes}, "seconds": 780}
    return {**about, "before": {**FIRST, "from": "first"}}


def test_one_training_is_one_line(tiny: Codec) -> None:
    text = model_card("mine", tiny, FIRST)
    assert "- Trained 3,400 of 3,400 steps in 69 min; optimiser muon, learning rate 0.002 (cosine)" in text
    assert "seed 1" in text
    assert "12 pairs of 64x128 patches a step, the last 25% on 4 whole pairs;" in text
    assert "noiseless in 13%, absent in 5%; Rayleigh fading in 15% (fast) and 0% (block)" in text
    assert tiny.codec_hash in text
    assert "**Pictures and licence.** Not stated." in text
    assert "PSNR" not in text


def test_two_trainings_are_told_in_order_with_their_sum(tiny: Codec) -> None:
    text = model_card("mine", tiny, later(seed=2, lr=1e-3))
    assert "- Trained 4,300 steps, 82 min in 2 stages" in text
    assert text.index("  1. 3,400 of 3,400 steps in 69 min") < text.index("  2. 900 of 3,400 steps in 13 min")
    assert text.index("seed 1") < text.index("seed 2")
    unknown = later()
    del unknown["before"]["seconds"]
    text = model_card("mine", tiny, unknown)
    assert "- Trained 4,300 steps in 2 stages" in text  # no sum where a part is not known
    assert "  1. 3,400 of 3,400 steps;" in text


def test_an_ms_ssim_training_is_on_whole_pictures_alone(tiny: Codec) -> None:
    text = model_card("mine", tiny, later(loss="ms-ssim", whole_share=1.0))
    stage = next(line for line in text.splitlines() if line.startswith("  2."))
    assert "loss `ms-ssim`" in stage
    assert "; 4 whole pairs a step;" in stage
    assert "patches" not in stage
    several = model_card("mine", tiny, later(whole_share=1.0, sizes=["128x256", "256x512"]))
    assert "; 4 whole pairs a step (128x256 or 256x512, drawn for each step, of larger ones fewer);" in several
    patches = model_card("mine", tiny, {**FIRST, "settings": {**SETTINGS, "whole_share": 0.0}})
    assert "; 12 pairs of 64x128 patches a step; the other" in patches


def test_a_stage_of_the_other_kind_and_settings_of_before_a_resume_are_told(tiny: Codec) -> None:
    joint = {**FIRST, "config": {"joint": True}, "earlier": [{"until": 669, "settings": {**SETTINGS, "lr": 1e-3}}]}
    text = model_card("mine", tiny, {**later(), "config": {"joint": False}, "before": {**joint, "from": "first"}})
    assert "  1. *With joint decoding:* 3,400 of 3,400 steps" in text
    assert "in up to 35%. Until step 669: lr 0.001." in text
    assert "  2. 900 of 3,400 steps" in text


def test_a_stage_that_grew_the_network_says_so(tiny: Codec) -> None:
    grown = {**later(), "config": {"joint": True, "decoder_blocks": [2, 3, 1, 3, 0]}}
    shallow = {**FIRST, "from": "first", "config": {"joint": True, "decoder_blocks": [2, 2, 1, 2, 0]}}
    first, second = (
        line
        for line in model_card("mine", tiny, {**grown, "before": shallow}).splitlines()
        if line.startswith(("  1.", "  2."))
    )
    assert "Network: decoder_blocks [2, 2, 1, 2, 0] -> [2, 3, 1, 3, 0]." in second
    assert "Network" not in first


def test_a_stage_for_a_frozen_encoder_says_what_was_not_trained_and_what_is_new(tiny: Codec) -> None:
    stage = {**later(), "frozen": "encoder", "fresh": ["decoder.stem", "decoder.at8"]}
    first, second = (line for line in model_card("mine", tiny, stage).splitlines() if line.startswith(("  1.", "  2.")))
    alone = "The decoder alone was trained, for an encoder that stayed as it was; "
    assert f" in up to 35%. {alone}of `decoder.stem`, `decoder.at8` what did not fit began at random." in second
    assert "encoder" not in first
    said = "each begun with the averaged weights of the one before"
    assert f"{said}, as far as its line does not say otherwise:" in model_card("mine", tiny, stage)
    assert f"{said}:" in model_card("mine", tiny, later())
    known: dict[str, Any] = {"fresh": []}
    for fresh, told in (
        (known, "all of it began with the weights of before."),
        ({}, "what did not fit began at random."),  # a run of an older version
    ):
        one = {**FIRST, "frozen": "encoder", **fresh, "before": {"from": "66b1", "preset": "tiny"}}
        assert f"{alone}{told}" in model_card("mine", tiny, one)
    afterwards = {**later(), "before": {**stage, "from": "second"}}
    assert "as far as its line does not say otherwise" in model_card("mine", tiny, afterwards)


def test_what_the_preset_has_not_is_told(tiny: Codec) -> None:
    assert "- Preset `tiny`, joint decoding on;" in model_card("mine", tiny, {**FIRST, "preset": "tiny"})
    other = dataclasses.replace(preset("tiny"), epipolar=False, encoder_blocks=(0, 1, 2))
    text = model_card("mine", Codec(JointCodec(other), "0"), {**FIRST, "preset": "tiny"})
    assert "- Preset `tiny` with encoder_blocks [0, 1, 2], epipolar False, joint decoding on;" in text


def test_weights_of_unknown_history_are_named(tiny: Codec) -> None:
    text = model_card("mine", tiny, {**FIRST, "before": {"from": "66b1", "preset": "tiny"}})
    assert "- Begun with the weights of `66b1`." in text
    assert "- Trained 3,400 of 3,400 steps" in text


def test_the_table_has_every_neighbour_and_ms_ssim(tiny: Codec) -> None:
    pairs = torch.rand(3, 2, 3, 128, 256, generator=torch.Generator().manual_seed(0))
    psnr, similar = neighbour_table(tiny.model, pairs, [-2, 12]), ms_ssim_table(tiny.model, pairs, [-2, 12])
    assert all(0 <= value <= 1 for value in similar.values())
    assert similar == ms_ssim_table(tiny.model, pairs, [-2, 12])
    lines = model_card("mine", tiny, FIRST, (psnr, similar, 3)).splitlines()
    assert "| neighbour | -2 dB | 12 dB |" in lines
    for kind in NEIGHBOURS:
        assert f"| {kind} | {psnr[f'{kind}@-2']:.2f} | {psnr[f'{kind}@12']:.2f} |" in lines
        assert any(f"*{kind}*" in line for line in lines)
    assert f"| true, MS-SSIM | {similar['-2']:.4f} | {similar['12']:.4f} |" in lines
    assert any("both views of 3 validation pairs" in line for line in lines)


def test_the_pictures_can_be_others(tiny: Codec) -> None:
    text = model_card("mine", tiny, FIRST, data="our own street (CC0)")
    assert "Trained on our own street (CC0)." in text
    assert "KITTI" not in text


def test_the_default_draws_can_be_told(tiny: Codec) -> None:
    draws = {name: getattr(LinkSampling(), name) for name in LinkSampling.__dataclass_fields__}
    assert "absent in 5%;" in model_card("mine", tiny, {**FIRST, "settings": {**SETTINGS, "draws": draws}})
    skewed = model_card("mine", tiny, {**FIRST, "settings": {**SETTINGS, "draws": {**draws, "absent_skew": 2.0}}})
    assert "absent in 5% (the SNR there a uniform number to the power 2);" in skewed


def write_run(folder: Path, rows: str, **changes: object) -> Path:
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"settings": {**SETTINGS, **changes}}))
    (folder / "train.csv").write_text("step,loss,psnr,lr,seconds\n" + rows)
    return folder


def test_times_come_from_the_folders_of_all_stages(tmp_path: Path) -> None:
    write_run(tmp_path / "first", "1000,1,1,1,50\n3400,1,1,1,200\n4000,1,1,1,900\n")
    second = write_run(tmp_path / "second", "400,1,1,1,30\n800,1,1,1,20\n")
    about = later()
    del about["seconds"], about["before"]["seconds"]
    found = timed(about, second)
    assert found["seconds"] == 30 + 20
    assert found["before"]["seconds"] == 200  # not the steps that came after the second one began
    other_draws = {**SETTINGS["draws"], "absent_other": 0.3}
    for changes, known in (({"seed": 7}, False), ({"draws": other_draws}, False), ({"steps": 9, "new": 1}, True)):
        (tmp_path / "first" / "run.json").write_text(json.dumps({"settings": {**SETTINGS, **changes}}))
        assert ("seconds" in timed(about, second)["before"]) is known  # or another run that now has that name


@pytest.fixture(scope="module")
def val(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pairs of 128x256."""
    import cv2
    import numpy as np

    folder = tmp_path_factory.mktemp("val")
    for side in ("left", "right"):
        (folder / side).mkdir()
        for name in "ab":
            coarse = np.random.default_rng(ord(name)).integers(0, 256, (8, 16, 3), dtype=np.uint8)
            cv2.imwrite(str(folder / side / f"{name}.png"), cv2.resize(coarse, (256, 128)))
    return folder


def test_two_trainings_shipped(
    tmp_path: Path, picture_folders: tuple[Path, Path], val: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def export(weights: Path, out: Path) -> None:  # ONNX: a test of training makes it
        for name in ("encoder.onnx", "decoder.onnx"):
            (out / name).touch()
        codec_manifest.write(out, weights)

    monkeypatch.setattr("jscc.release.bundle.export", export)
    common = ["--preset", "tiny", "--pairs", str(picture_folders[0]), "--pictures", "1", "--patches", "1"]
    common += ["--log-every", "1", "--device", "cpu", "--threads", "1", "--steps", "2"]
    train_main([*common, "--out", str(tmp_path / "first")])
    train_main(
        [*common, "--out", str(tmp_path / "second"), "--init", str(tmp_path / "first"), "--loss", "ms-ssim",
         "--whole-share", "1"]
    )  # fmt: skip
    ship(tmp_path / "second", tmp_path / "codec", val, [4])
    text = (tmp_path / "codec" / "card.md").read_text()
    assert re.search(r"- Trained 4 steps, \d+ s in 2 stages", text)
    assert re.search(r"  1\. 2 of 2 steps in \d+ s; .* loss `log-mse`", text)
    assert re.search(r"  2\. 2 of 2 steps in \d+ s; .* loss `ms-ssim`.* 1 whole pairs a step;", text)
    assert re.search(r"\| true, MS-SSIM \| 0\.\d{4} \|", text)


def test_what_cannot_be_shipped_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"^python -m jscc\.ship: .*state\.pt"):
        ship_main(["--run", str(tmp_path), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_who_ships_a_codec_by_name_says_what_it_was_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        ship_main(["--run", str(tmp_path), "--name", "mine"])
    assert "say with --data what it was trained on" in capsys.readouterr().err


def test_what_a_shipped_codec_takes_the_place_of_is_told(tmp_path: Path, tiny_folder: Path) -> None:
    assert replaced(tmp_path) is None
    assert replaced(tiny_folder) == load_onnx(str(tiny_folder), "encoder", 1).codec_hash
    (tmp_path / WEIGHTS_FILE).write_bytes(b"nonsense")
    assert replaced(tmp_path) == "a damaged codec"  # which is no reason to keep it


def test_a_codec_is_not_written_over_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(SystemExit):
        ship_main(["--run", "small-joint", "--out", str(tmp_path / "README.md")])
    assert "is a file, and a codec is a folder: give another --out" in capsys.readouterr().err
    assert (tmp_path / "README.md").read_text() == "mine"


def test_a_codec_is_shipped_anew_with_its_symbols_in_another_order(
    tmp_path: Path, tiny: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights and history stay; the graphs are another module's, and tested there."""
    former, wanted = tiny.config, rounded(tiny.model)
    save_weights(tmp_path / "first" / WEIGHTS_FILE, former, wanted, {**later(seed=7), "config": former.to_dict()})

    def graphs(weights: Path, out: Path) -> None:
        for name in ("encoder.onnx", "decoder.onnx"):
            (out / name).write_bytes(load_weights(weights)[0].interleaver.encode())
        codec_manifest.write(out, weights)

    monkeypatch.setattr(bundle, "export", graphs)
    ship_main(["--run", str(tmp_path / "first"), "--out", str(tmp_path / "plain"), "--interleaver", "none"])
    config, tensors, _ = load_weights(tmp_path / "plain" / WEIGHTS_FILE)
    assert (former.interleaver, config) == ("golden", dataclasses.replace(former, interleaver="none"))
    assert all(torch.equal(tensors[name], tensor) for name, tensor in wanted.items())
    assert (tmp_path / "plain" / "encoder.onnx").read_bytes() == b"none"
    card = (tmp_path / "plain" / "card.md").read_text()
    assert "- Preset `tiny` with interleaver none," in card
    assert "- Trained 4,300 steps, 82 min in 2 stages" in card
    assert "seed 7" in card
    assert "Network:" not in card
    ship_main(["--run", str(tmp_path / "plain"), "--out", str(tmp_path / "again"), "--interleaver", "golden"])
    assert load_weights(tmp_path / "again" / WEIGHTS_FILE)[0] == former
    save_weights(tmp_path / "bare" / WEIGHTS_FILE, former, wanted, {})
    ship_main(["--run", str(tmp_path / "bare"), "--out", str(tmp_path / "told")])
    assert "- Its file does not tell how it was trained." in (tmp_path / "told" / "card.md").read_text()
    with pytest.raises(SystemExit, match="there is no such folder, and no weights called 'nowhere'"):
        ship_main(["--run", "nowhere", "--out", str(tmp_path / "none")])
