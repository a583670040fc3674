import csv
import dataclasses
import json
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from jscc.ablation.__main__ import main
from jscc.ablation.runner import RESULT, ablate, build
from jscc.ablation.variants import HALF, VARIANTS, EqualLinks, Variant, reference_settings
from jscc.channel import Fading
from jscc.data.batches import Sources, read_sources
from jscc.model.codec import JointCodec
from jscc.model.config import preset
from jscc.model.scam import swap_views
from jscc.train.link_sampling import LinkSampling
from jscc.train.loop import Cadence
from jscc.train.state import read_ema

CPU = torch.device("cpu")
TINY = preset("tiny")
BY_NAME = {variant.name: variant for variant in VARIANTS}
SETTINGS = dataclasses.replace(reference_settings(2), patches=2, pictures=1)


@pytest.fixture(scope="module")
def sources(picture_folders: tuple[Path, Path]) -> Sources:
    pairs, mono = picture_folders
    return read_sources([pairs], [mono])


def ablated(out: Path, sources: Sources, *names: str, steps: int = 2) -> list[dict[str, str]]:
    """Train tiny variants; the rows of ablation.csv."""
    val = torch.rand(2, 2, 3, 128, 256, generator=torch.Generator().manual_seed(0))
    settings = dataclasses.replace(SETTINGS, steps=steps)
    assert ablate([BY_NAME[name] for name in names], TINY, settings, sources, val, out, CPU)
    with (out / "ablation.csv").open() as file:
        return list(csv.DictReader(file))


def test_variants_are_trained_once_and_compared(
    tmp_path: Path, sources: Sources, capsys: pytest.CaptureFixture[str]
) -> None:
    ablated(tmp_path, sources, "alone")
    state = (tmp_path / "alone" / "state.pt").stat().st_mtime_ns
    reference, alone = ablated(tmp_path, sources, "reference", "alone")
    assert (tmp_path / "alone" / "state.pt").stat().st_mtime_ns == state
    assert "alone (2 of 2): finished before" in capsys.readouterr().out
    assert [reference["variant"], alone["variant"]] == ["reference", "alone"]
    assert int(reference["parameters"]) > int(alone["parameters"])
    assert float(reference["seconds_per_step"]) > 0
    assert float(reference["difference true@-2"]) == 0
    assert float(alone["difference better@4"]) == pytest.approx(
        float(alone["better@4"]) - float(reference["better@4"]), abs=2e-4
    )
    # Who decodes alone does not care who the neighbour is.
    assert alone["true@12"] == alone["unrelated@12"] == alone["absent@12"] == alone["better@12"]
    text = (tmp_path / "ablation.md").read_text()
    assert "## -2 dB" in text
    assert "| alone |" in text
    assert "2 pairs of 64x128 patches a step" in text
    assert "One training each, so chance moves them too. Order of symbols: golden; multiplied in bfloat16" in text
    with pytest.raises(ValueError, match=r"trained with other settings or pictures \(settings\.steps is 2, now 3\): "):
        ablated(tmp_path, sources, "alone", steps=3)
    with pytest.raises(ValueError, match=r"\(pictures\.colour_pairs is 3, now 1\): give another --out"):
        ablated(tmp_path, Sources(sources.colour[:1], sources.grey, sources.mono), "alone")


def test_a_folder_from_before_symbols_had_an_order_is_read(tmp_path: Path, sources: Sources) -> None:
    config = dataclasses.replace(TINY, interleaver="none")
    val = torch.rand(2, 2, 3, 128, 256, generator=torch.Generator().manual_seed(0))
    assert ablate([BY_NAME["alone"]], config, SETTINGS, sources, val, tmp_path, CPU)
    about = tmp_path / "alone" / "run.json"
    older = json.loads(about.read_text())
    del older["config"]["interleaver"]
    about.write_text(json.dumps(older))
    assert ablate([BY_NAME["alone"]], config, SETTINGS, sources, val, tmp_path, CPU)
    with pytest.raises(ValueError, match=r"\(config\.interleaver is none, now golden\)"):
        ablated(tmp_path, sources, "alone")


def test_another_precision_is_named_with_its_option(tmp_path: Path, sources: Sources) -> None:
    val = torch.rand(2, 2, 3, 128, 256, generator=torch.Generator().manual_seed(0))
    full = dataclasses.replace(SETTINGS, half_precision=False)
    assert ablate([BY_NAME["alone"]], TINY, full, sources, val, tmp_path, CPU)
    wanted = (
        r"\(settings\.half_precision is False, now True\): give another --out, or remove it; --full-precision trains"
    )
    with pytest.raises(ValueError, match=wanted):
        ablated(tmp_path, sources, "alone")


def test_a_variant_that_was_cut_off_goes_on(
    tmp_path: Path, sources: Sources, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ablated(tmp_path / "whole", sources, "two-encoders")
    variants, val = [BY_NAME["two-encoders"]], torch.rand(2, 2, 3, 128, 256)
    with monkeypatch.context() as cut:
        cut.setattr("jscc.ablation.runner.Cadence", partial(Cadence, stop_after=1))
        assert not ablate(variants, TINY, SETTINGS, sources, val, tmp_path / "parts", CPU)
    folder = tmp_path / "parts" / "two-encoders"
    assert torch.load(folder / "state.pt", weights_only=True)["step"] == 1
    assert not (folder / RESULT).exists()
    ablated(tmp_path / "parts", sources, "two-encoders")
    assert "resumed at step 1" in capsys.readouterr().out
    whole, parts = (
        json.loads((tmp_path / name / "two-encoders" / RESULT).read_text())["psnr"] for name in ("whole", "parts")
    )
    assert whole == parts
    with pytest.raises(ValueError, match=r"state\.pt: weights do not fit the config: missing .* \(variants of jscc"):
        read_ema(folder / "state.pt")  # for ship and --init


@pytest.mark.parametrize("chosen", VARIANTS, ids=lambda variant: variant.name)
def test_every_variant_differs_from_the_reference_and_decodes(sources: Sources, chosen: Variant) -> None:
    model = build(chosen, TINY, SETTINGS, sources)
    decoded = model(torch.rand(2, 2, 3, 64, 128), torch.tensor([[4.0, 14.0], [0.0, -torch.inf]]), Fading.NONE)
    assert decoded.shape == (2, 2, 3, 64, 128)
    assert bool(decoded.isfinite().all())
    decoded.sum().backward()
    reference = BY_NAME["reference"]
    same_settings = chosen.train_settings(SETTINGS) == reference.train_settings(SETTINGS)
    names = {name for name, _ in model.named_parameters()}
    same_model = names == {name for name, _ in build(reference, TINY, SETTINGS, sources).named_parameters()} and (
        chosen.config(TINY) == TINY
    )
    assert (same_settings and same_model) == (chosen is reference)


def outputs(model: JointCodec, pictures: Tensor) -> Tensor:
    with torch.no_grad():
        decoded: Tensor = model(pictures, torch.full((1, 2), torch.inf), Fading.NONE)
    return decoded


@pytest.mark.parametrize("name", ["wide-kernels", "rows-at-8", "rows-at-8-and-4", "no-scam", "scam-paper"])
def test_ways_to_look_across_use_the_other_view(sources: Sources, name: str) -> None:
    model = build(BY_NAME[name], TINY, SETTINGS, sources).eval()
    with torch.no_grad():
        for parameter in model.decoder.paint.parameters():
            parameter.normal_(std=0.1, generator=torch.Generator().manual_seed(1))
    pictures = torch.rand(1, 2, 3, 64, 128)
    changed = pictures.clone()
    changed[:, 1] = torch.rand(1, 3, 64, 128)
    assert not torch.allclose(outputs(model, pictures)[:, 0], outputs(model, changed)[:, 0], atol=1e-4)


def test_wide_kernels_ignore_a_view_that_never_came(sources: Sources) -> None:
    wide = build(BY_NAME["wide-kernels"], TINY, SETTINGS, sources).decoder.epipolar
    assert wide is not None
    features, side = torch.randn(2, 16, 8, 16), torch.tensor([1.0, -1.0])
    absent = torch.tensor([False, True])
    other = features.clone()
    other[1] = torch.randn(16, 8, 16)
    with torch.no_grad():
        left, same = (wide(x, torch.zeros(2, 6), side, absent)[0] for x in (features, other))
        seen = wide(other, torch.zeros(2, 6), side, torch.tensor([False, False]))[0]
    assert torch.equal(left, same)
    assert not torch.equal(left, seen)


def test_two_encoders_encode_each_view_with_its_own(sources: Sources) -> None:
    encoder = build(BY_NAME["two-encoders"], TINY, SETTINGS, sources).encoder
    pictures, snr = torch.rand(4, 3, 64, 128), torch.full((4,), 5.0)
    with torch.no_grad():
        for parameter in encoder.right.compress.parameters():  # type: ignore[union-attr]
            parameter.add_(0.1)
        symbols, swapped = encoder(pictures, snr), swap_views(encoder(swap_views(pictures), snr))
        left = encoder.left(pictures[[0, 2]], snr[:2])  # type: ignore[operator]
    torch.testing.assert_close(symbols[[0, 2]], left)
    assert not torch.allclose(symbols, swapped, atol=1e-3)


def test_equal_links_are_equal() -> None:
    draws = EqualLinks(better_other=0.0, noiseless_other=0.0)
    snr_db, _ = draws.draw(2000, np.random.default_rng(0))
    came = torch.isfinite(snr_db).all(1)
    assert torch.equal(snr_db[came, 0], snr_db[came, 1])
    assert 0.03 < float((~came).float().mean()) < 0.07
    assert not bool(torch.isposinf(snr_db).any())
    assert draws != LinkSampling(better_other=0.0, noiseless_other=0.0)


def test_the_half_size_is_half() -> None:
    small = preset("small")
    assert tuple(2 * width for width in HALF.encoder_widths) == small.encoder_widths
    assert tuple(2 * width for width in HALF.decoder_widths) == small.decoder_widths
    assert 2 * HALF.epipolar_heads == small.epipolar_heads


def test_the_command_trains_and_refuses_clearly(tmp_path: Path, picture_folders: tuple[Path, Path]) -> None:
    pairs, mono = (str(folder) for folder in picture_folders)
    rng = np.random.default_rng(0)
    for side in ("left", "right"):
        (tmp_path / "val" / side).mkdir(parents=True)
        for index in range(2):
            picture = rng.integers(0, 256, (128, 256, 3), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / "val" / side / f"{index}.png"), picture)
    given = ["--pairs", pairs, "--mono", mono, "--val", str(tmp_path / "val"), "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit, match=r"^python -m jscc.ablation: --steps is 0; it must be at least 1$"):
        main([*given, "--steps", "0"])
    main([*given, "--steps", "1", "--only", "alone", "--device", "cpu"])
    assert "preset `small` with all widths halved" in (tmp_path / "out" / "ablation.md").read_text()
    assert (tmp_path / "out" / "alone" / "val-1.png").exists()
