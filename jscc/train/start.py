"""The state that a training begins with: random weights, those of another codec, or where the run itself stopped."""

import argparse
import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from jscc.data.batches import Sources, batch
from jscc.model.checkpoint import WeightsError, fill
from jscc.model.codec import JointCodec
from jscc.model.config import PRESETS, CodecConfig
from jscc.model.linear_path import SIDE, start_from_components
from jscc.model.transfer import encoder_and_what_fits, new_blocks, with_new_blocks, without_neighbour
from jscc.train.distributed import leads
from jscc.train.pictures import TrainingPictures
from jscc.train.run_folder import RunFolder, described
from jscc.train.run_log import differences
from jscc.train.schedule import PATCH
from jscc.train.settings import TrainSettings, completed
from jscc.train.state import TrainState, describe_config_diff, new_model, read_start
from wire.runtime.errors import UserError


def start_linear_path(model: JointCodec, sources: Sources, settings: TrainSettings) -> None:
    """Begin with the principal components of training patches, if the codec has a linear path."""
    if model.encoder.linear is None or model.decoder.linear is None:
        return
    steps = range(2**32, 2**32 + 8)  # beyond every training step
    drawn = [batch(sources, settings.mixture, 32, PATCH, seed=settings.seed, step=step) for step in steps]
    pictures = torch.from_numpy(np.concatenate(drawn)).flatten(0, 1).float() / 255
    patches = pictures.unfold(2, SIDE, SIDE).unfold(3, SIDE, SIDE).permute(0, 2, 3, 1, 4, 5).flatten(0, 2)
    start_from_components(model.encoder.linear, model.decoder.linear, patches)


def start(
    args: argparse.Namespace,
    config: CodecConfig,
    settings: TrainSettings,
    folder: RunFolder,
    pictures: TrainingPictures,
    device: torch.device,
) -> TrainState:
    """The state to train from: saved, or fresh, or with another run's weights; describes the run in run.json."""
    saved = folder.state.exists()
    if saved and not args.resume:
        raise ValueError(f"{folder.state} is there already: add --resume to go on, or give another --out")
    about: dict[str, Any] = {
        "preset": args.preset,
        "config": config.to_dict(),
        "settings": dataclasses.asdict(settings),
        "data": pictures.described(),
    }
    if args.freeze_encoder:
        about["frozen"] = "encoder"
    model = new_model(config, settings.seed, device)
    model.encoder.requires_grad_(not args.freeze_encoder)
    if saved:
        state = TrainState(model, settings.optimiser, settings.lr, settings.weight_decay)
        before = described(folder.path)
        check_preset(before, args.preset)
        if before.get("frozen") != about.get("frozen"):
            raise ValueError(f"{folder.path} was begun {'with' if 'frozen' in before else 'without'} --freeze-encoder")
        until_now = state.restore(folder.state)
        if leads() and state.step < settings.steps:
            describe_again(folder, before, about, until_now, args.init, state.step)
        return state
    if args.init is None:
        start_linear_path(model, pictures.sources, settings)
    else:
        try:
            if args.freeze_encoder:
                about["before"], new = start_decoder_for(args.init, model)
                about["fresh"] = new  # for the card: all else of the decoder began with the weights of before
            else:
                about["before"], new = start_from(args.init, model, args.preset)
        except (OSError, ValueError, UserError) as error:
            raise ValueError(f"--init {args.init}: {error}") from error
        if leads() and new:
            print(
                f"new: {', '.join(new)}"
                if args.freeze_encoder
                else f"new residual blocks, which add nothing at first: {', '.join(new)}"
            )
    if leads():
        folder.describe(about)
    return TrainState(model, settings.optimiser, settings.lr, settings.weight_decay)


def check_preset(about: Mapping[str, Any], name: str) -> None:
    """ValueError if what `about` tells of was made with another preset than the one called `name`."""
    made_with = about.get("preset")
    if made_with in PRESETS and made_with != name:
        raise ValueError(f"made with --preset {made_with}, asked for is --preset {name}")


def start_from(name: str, model: JointCodec, preset: str) -> tuple[dict[str, Any], list[str]]:
    """Fill the model, of a preset, with the weights called `name`; returns what is known of them, and the new blocks.

    raises  what `read_start` does; ValueError if the weights are of another network
    """
    tensors, before = read_start(name)
    tensors = tensors if model.config.joint else without_neighbour(tensors)
    fresh = model.state_dict()
    try:
        fill(model, with_new_blocks(tensors, fresh))
    except WeightsError as error:
        check_preset(before, preset)
        hindrances = _hindrances(before.get("config", {}), model.config)
        raise ValueError(describe_config_diff(hindrances) or str(error)) from error
    return before, [block.rstrip(".") for block in new_blocks(tensors, fresh)]


def start_decoder_for(name: str, model: JointCodec) -> tuple[dict[str, Any], list[str]]:
    """Fill the encoder with that of the weights called `name`, and of the decoder what fits.

    returns  what is known of the weights, and the parts of the decoder that begin at random
    raises   what `read_start` does; ValueError if the encoder is another one, or sends its symbols in another order
    """
    tensors, before = read_start(name)
    order, wanted = before.get("config", {}).get("interleaver", "none"), model.config.interleaver
    if order != wanted:
        changes = describe_config_diff({"interleaver": (order, wanted)})
        raise ValueError(f"its encoder is another one, and --freeze-encoder keeps it: {changes}")
    fitting, fresh = encoder_and_what_fits(tensors, model.state_dict())
    try:
        fill(model, fitting)
    except WeightsError as error:
        raise ValueError(f"its encoder is another one, and --freeze-encoder keeps it: {error}") from error
    return before, fresh


def _hindrances(found: Mapping[str, Any], config: CodecConfig) -> dict[str, tuple[Any, Any]]:
    """How the config of weights differs from the one asked for, without what `start_from` can bridge."""
    return {
        name: (old, new)
        for name, (old, new) in differences(found, config.to_dict()).items()
        if name != "interleaver"
        and not (name == "joint" and not config.joint)
        and not (name.endswith("_blocks") and all(before <= now for before, now in zip(old, new, strict=True)))
    }


def describe_again(
    folder: RunFolder,
    before: Mapping[str, Any],
    about: Mapping[str, Any],
    until_now: Mapping[str, Any],
    init: str | None,
    step: int,
) -> None:
    """Bring run.json, `before`, of a run that goes on at `step` up to date, and say what is not as it was.

    Settings that were others until then stay in its list "earlier". What a call asked for that ended before its first
    save trained nothing that is left, and is forgotten.
    """
    earlier = [part for part in before.get("earlier", []) if part["until"] < step]
    until_now = completed(until_now)
    changes = differences(until_now, about["settings"])
    if changes:
        earlier.append({"until": step, "settings": until_now})
    changes |= differences(before.get("data", {}), about["data"])
    if changes:
        print("changed: " + ", ".join(f"{name} {old} -> {new}" for name, (old, new) in changes.items()), flush=True)
    if init is not None:
        print(f"--init {init} does nothing here: the run goes on from its own {folder.state.name}", flush=True)
    folder.describe({**before, "settings": about["settings"], "data": about["data"], "earlier": earlier})
