"""Train the variants one after the other, each in its own folder; what is finished is not trained again."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from jscc.ablation.table import Result, write_tables
from jscc.ablation.variants import HALF, VARIANTS, Variant
from jscc.config import CodecConfig
from jscc.data import Sources
from jscc.loop import Cadence, run, validate
from jscc.models import JointCodec
from jscc.runfolder import RunFolder
from jscc.runlog import read_run
from jscc.schedule import TrainSettings
from jscc.train import start_linear_path
from jscc.trainstate import TrainState, new_model

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
    for number, variant in enumerate(variants, 1):
        folder = RunFolder(out / variant.name)
        if not (folder.path / RESULT).exists():
            print(f"{variant.name} ({number} of {len(variants)}): {variant.tells}", flush=True)
            state = _train(variant, config, settings, sources, folder, device)
            if state.step < settings.steps:
                return False
            _finish(variant, state, folder, val_BV3HW.to(device))
        else:
            _check(folder.path, describe(variant, config, settings))
            print(f"{variant.name} ({number} of {len(variants)}): finished before", flush=True)
        write_tables(out, read_results(out, config, settings), header(config, settings, sources, len(val_BV3HW)))
    return True


def build(variant: Variant, config: CodecConfig, settings: TrainSettings, sources: Sources) -> JointCodec:
    """The variant's model as training begins, on the CPU."""
    own = variant.train_settings(settings)
    model = new_model(variant.config(config), own.seed, torch.device("cpu"))
    start_linear_path(model, sources, own)
    if variant.change is not None:
        variant.change(model)
    return model


def describe(variant: Variant, config: CodecConfig, settings: TrainSettings) -> dict[str, Any]:
    """What run.json says, and what must be the same to go on."""
    own = dataclasses.asdict(variant.train_settings(settings))
    about = {"preset": "ablation", "variant": variant.name, "config": variant.config(config).to_dict(), "settings": own}
    return dict(json.loads(json.dumps(about)))


def _train(
    variant: Variant,
    config: CodecConfig,
    settings: TrainSettings,
    sources: Sources,
    folder: RunFolder,
    device: torch.device,
) -> TrainState:
    """From the saved step or the first to the last, or to a signal."""
    own, about = variant.train_settings(settings), describe(variant, config, settings)
    model: JointCodec = build(variant, config, settings, sources).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = TrainState(model, own.optimiser, own.lr, own.weight_decay)
    if folder.state.exists():
        _check(folder.path, about)
        state.restore(folder.state)
        print(f"resumed at step {state.step}", flush=True)
    else:
        folder.describe(about)
    run(state, own, Cadence(log_every=min(50, own.steps), save_minutes=2.0), folder, sources, None, device)
    return state


def _check(folder: Path, about: dict[str, Any]) -> None:
    """ValueError if the folder's run is another one."""
    if json.loads((folder / "run.json").read_text()) != about:
        raise ValueError(f"{folder} was trained with other settings: give another --out, or remove it")


def _finish(variant: Variant, state: TrainState, folder: RunFolder, val_BV3HW: Tensor) -> None:
    """Measure, and leave the result; written last, so that what is there is whole."""
    result = Result(
        variant.name,
        variant.tells,
        sum(parameter.numel() for parameter in state.model.parameters()),
        read_run(folder.path).seconds / state.step,
        validate(state, folder, val_BV3HW),
    )
    (folder.path / RESULT).write_text(json.dumps(dataclasses.asdict(result), indent=1))


def read_results(out: Path, config: CodecConfig, settings: TrainSettings) -> list[Result]:
    """Of all variants that are finished, also in earlier calls, in the order of `VARIANTS`."""
    results = []
    for variant in VARIANTS:
        file = out / variant.name / RESULT
        if file.exists():
            _check(file.parent, describe(variant, config, settings))
            results.append(Result(**json.loads(file.read_text())))
    return results


def header(config: CodecConfig, settings: TrainSettings, sources: Sources, val_pairs: int) -> str:
    """How the numbers were made."""
    size = " (preset `small` with all widths halved)" if config == HALF else ""
    return (
        f"Small models at equal steps, not the shipped codec. Every variant: {settings.steps:,} steps, seed"
        f" {settings.seed}, the same pictures ({len(sources.colour)} colour pairs, {len(sources.grey)} grey pairs,"
        f" {len(sources.mono)} single) and link draws, unless its line says otherwise; {settings.patches} pairs of"
        f" 64x128 patches a step, {settings.pictures} whole pairs in the last {settings.whole_share:.0%}. Widths:"
        f" encoder {config.encoder_widths}, decoder {config.decoder_widths}, {config.epipolar_heads} heads{size}."
        f" PSNR: mean over both views of {val_pairs} validation pairs, AWGN, averaged weights. Neighbours: *true* has"
        " the same SNR, *better* 10 dB more, *noiseless* no noise, *unrelated* shows another scene, *absent* never"
        " came. One training each: the row `seed-2` shows how much chance alone moves. s/step depends on what else"
        " the machine did."
    )
