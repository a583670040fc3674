"""Train the variants one after the other, each in its own folder; what is finished is not trained again."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from jscc.ablation.table import Result, write_tables
from jscc.ablation.variants import HALF, VARIANTS, Variant
from jscc.data.batches import Sources
from jscc.model.codec import JointCodec, count
from jscc.model.config import CodecConfig
from jscc.train.loop import Cadence, run, validate
from jscc.train.run_folder import RunFolder, described
from jscc.train.run_log import differences, read_run
from jscc.train.settings import TrainSettings, completed
from jscc.train.start import start_linear_path
from jscc.train.state import TrainState, new_model

RESULT = "result.json"


def ablate(
    variants: Sequence[Variant],
    config: CodecConfig,
    settings: TrainSettings,
    sources: Sources,
    val_BV3HW: Tensor,
    out: Path,
    device: torch.device,
) -> bool:
    """Train what is not finished, and write the tables after each variant. False if a signal stopped it.

    config, settings  the reference's
    raises            ValueError if `out` holds a variant that was trained with other settings
    """
    pictures = count_pictures(sources, val_BV3HW)
    for number, variant in enumerate(variants, 1):
        folder = RunFolder(out / variant.name)
        if not (folder.path / RESULT).exists():
            print(f"{variant.name} ({number} of {len(variants)}): {variant.tells}", flush=True)
            about = describe(variant, config, settings, pictures)
            state, whole = _train(variant, config, settings, sources, folder, device, about)
            if not whole:
                return False
            _finish(variant, state, folder, val_BV3HW.to(device))
        else:
            _check(folder.path, describe(variant, config, settings, pictures))
            print(f"{variant.name} ({number} of {len(variants)}): finished before", flush=True)
        results = read_results(out, config, settings, pictures)
        write_tables(
            out, results, header(config, settings, pictures, seeds="seed-2" in {each.name for each in results})
        )
    return True


def build(variant: Variant, config: CodecConfig, settings: TrainSettings, sources: Sources) -> JointCodec:
    """The variant's model as training begins, on the CPU."""
    own = variant.train_settings(settings)
    model = new_model(variant.config(config), own.seed, torch.device("cpu"))
    start_linear_path(model, sources, own)
    if variant.change is not None:
        variant.change(model)
    return model


def count_pictures(sources: Sources, val_BV3HW: Tensor) -> dict[str, int]:
    """How many pictures of each kind the variants share."""
    return {**sources.counts(), "validation_pairs": len(val_BV3HW)}


def describe(
    variant: Variant, config: CodecConfig, settings: TrainSettings, pictures: Mapping[str, int]
) -> dict[str, Any]:
    """What run.json says, and what must be the same to go on."""
    about = {
        "preset": "ablation",
        "variant": variant.name,
        "config": variant.config(config).to_dict(),
        "settings": dataclasses.asdict(variant.train_settings(settings)),
        "pictures": pictures,
    }
    return dict(json.loads(json.dumps(about)))


def _train(
    variant: Variant,
    config: CodecConfig,
    settings: TrainSettings,
    sources: Sources,
    folder: RunFolder,
    device: torch.device,
    about: dict[str, Any],
) -> tuple[TrainState, bool]:
    """From the saved step or the first to the last, or to a signal: then False stands beside the state."""
    own = variant.train_settings(settings)
    model: JointCodec = build(variant, config, settings, sources).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = TrainState(model, own.optimiser, own.lr, own.weight_decay)
    if folder.state.exists():
        _check(folder.path, about)
        state.restore(folder.state)
        print(f"resumed at step {state.step}", flush=True)
    else:
        folder.describe(about)
    return state, run(state, own, Cadence(save_minutes=2.0), folder, sources, None, device)


def _check(folder: Path, about: dict[str, Any]) -> None:
    """ValueError if the folder's run is another one, UserError if it is none."""
    found = described(folder)
    found["settings"] = completed(found["settings"])
    found["config"] = CodecConfig.from_dict(found["config"]).to_dict()  # an older one lacks keys that came later
    if found != about:
        others = "; ".join(f"{key} is {old}, now {new}" for key, (old, new) in differences(found, about).items())
        remedy = "give another --out, or remove it"
        if found["settings"]["half_precision"] != about["settings"]["half_precision"]:
            remedy += "; --full-precision trains in float32 wherever bfloat16 is at hand"
        raise ValueError(f"{folder} was trained with other settings or pictures ({others}): {remedy}")


def _finish(variant: Variant, state: TrainState, folder: RunFolder, val_BV3HW: Tensor) -> None:
    """Measure, and leave the result; written last, so that what is there is whole."""
    result = Result(
        variant.name,
        variant.tells,
        count(state.model),
        read_run(folder.path).seconds / state.step,
        validate(state, folder, val_BV3HW),
    )
    folder.write(RESULT, dataclasses.asdict(result))


def read_results(out: Path, config: CodecConfig, settings: TrainSettings, pictures: Mapping[str, int]) -> list[Result]:
    """Of all variants that are finished, also in earlier calls, in the order of `VARIANTS`."""
    results = []
    for variant in VARIANTS:
        file = out / variant.name / RESULT
        if file.exists():
            _check(file.parent, describe(variant, config, settings, pictures))
            results.append(Result(**json.loads(file.read_text())))
    return results


def header(config: CodecConfig, settings: TrainSettings, pictures: Mapping[str, int], *, seeds: bool) -> str:
    """How the numbers were made. seeds: whether the reference stands there with another seed too."""
    chance = ": the row `seed-2` shows how much chance alone moves" if seeds else ", so chance moves them too"
    size = " (preset `small` with all widths halved)" if config == HALF else ""
    return (
        f"Small models at equal steps, not the shipped codec. Every variant: {settings.steps:,} steps, seed"
        f" {settings.seed}, the same pictures ({pictures['colour_pairs']} colour pairs, {pictures['grey_pairs']} grey"
        f" pairs, {pictures['single']} single) and link draws, unless its line says otherwise; {settings.patches} pairs"
        f" of 64x128 patches a step, {settings.pictures} whole pairs in the last {settings.whole_share:.0%}. Widths:"
        f" encoder {config.encoder_widths}, decoder {config.decoder_widths}, {config.epipolar_heads} heads{size}."
        f" PSNR: mean over both views of {pictures['validation_pairs']} validation pairs, AWGN,"
        " averaged weights. Neighbours: *true* has"
        " the same SNR, *better* 10 dB more, *noiseless* no noise, *unrelated* shows another scene, *absent* never"
        f" came. One training each{chance}. Order of symbols: {config.interleaver}; multiplied in"
        f" {'bfloat16' if settings.half_precision else 'float32'}. s/step depends on what else the machine did."
    )
