"""What a training run is at one moment: weights, their average, optimisers, the step. Saved and resumed exactly.

All randomness of a step is a function of (seed, step), so there is no generator state to store.
"""

import copy
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from pickle import UnpicklingError  # nosec B403 # the error only; torch.load has weights_only
from typing import Any, Final

import torch
from torch import Tensor

from jscc.model.checkpoint import WeightsError, fill, load_weights, read_about, resolve
from jscc.model.codec import JointCodec
from jscc.model.config import CodecConfig
from jscc.train.optimizer import make_optimisers, plain_state
from jscc.train.run_folder import STATE, described
from jscc.train.run_log import differences
from jscc.train.schedule import averaging_weight
from wire.runtime.files import replacing

DAMAGED: Final = (EOFError, IndexError, KeyError, RuntimeError, TypeError, UnicodeError, UnpicklingError, ValueError)
"""What torch.load raises for a file that is not one of its own, depending on its first bytes."""

SAVED = {"config", "settings", "step", "model", "ema", "optimisers"}


class TrainState:
    """Model, averaged model (`ema`), optimisers and the number of finished steps.

    torn  whether a step is changing them: if it ends then by an error, they are of no step, and not to be saved
    """

    def __init__(self, model: JointCodec, optimiser: str, lr: float, weight_decay: float) -> None:
        self.model = model
        self.ema = copy.deepcopy(model).requires_grad_(False)
        self.optimisers = make_optimisers(model, optimiser, lr, weight_decay)
        self.weight_decay = weight_decay
        self.step = 0
        self.torn = False

    def set_lr(self, lr: float) -> None:
        """The learning rate of every group of every optimiser."""
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = lr

    def averaging_weight(self, decay: float) -> float:
        """How far the average moves towards the weights after this step."""
        return averaging_weight(self.step, decay)

    def averaged(self) -> tuple[list[Tensor], list[Tensor]]:
        """The average and the weights of every parameter that is trained, in one order."""
        trained = [parameter.requires_grad for parameter in self.model.parameters()]
        pairs = zip(self.ema.parameters(), self.model.parameters(), trained, strict=True)
        chosen = [(average, value) for average, value, train in pairs if train]
        return [average for average, _ in chosen], [value for _, value in chosen]

    @torch.no_grad()
    def average(self, decay: float) -> None:
        """Move the average towards the weights."""
        averages, values = self.averaged()
        torch._foreach_lerp_(averages, values, self.averaging_weight(decay))

    def save(self, path: Path, settings: dict[str, Any]) -> None:
        """Write the whole state; a crash while writing leaves the old file."""
        with replacing(path) as partial:
            torch.save(
                {
                    "config": self.model.config.to_dict(),
                    "settings": settings,
                    "step": self.step,
                    "model": self.model.state_dict(),
                    "ema": self.ema.state_dict(),
                    "optimisers": [plain_state(optimiser) for optimiser in self.optimisers],
                },
                partial,
            )

    def restore(self, path: Path) -> dict[str, Any]:
        """Continue from a saved state; a state of another config raises ValueError. Returns the settings until now."""
        saved = read_state(path)
        found = CodecConfig.from_dict(saved["config"]).to_dict()  # an older one lacks keys that came later
        if found != self.model.config.to_dict():
            others = describe_config_diff(differences(found, self.model.config.to_dict()))
            raise ValueError(f"{path} was made with another codec config: {others}")
        _fill(self.model, saved["model"], path)
        _fill(self.ema, saved["ema"], path)
        if len(saved["optimisers"]) != len(self.optimisers):
            raise ValueError(f"{path} was made with another optimiser: {saved['settings']['optimiser']}")
        for optimiser, state in zip(self.optimisers, saved["optimisers"], strict=True):
            optimiser.load_state_dict(state)
            for group in optimiser.param_groups:
                group["weight_decay"] = self.weight_decay  # what is asked for now, as with the learning rate
        self.step = int(saved["step"])
        return dict(saved["settings"])


def describe_config_diff(changes: Mapping[str, tuple[Any, Any]]) -> str:
    """In words how a codec config that was found differs from the one that is asked for, by key (found, asked for)."""
    return "; ".join(
        f"its {name} is {json.dumps(old)}, asked for is {json.dumps(new)}"
        f" ({'--baseline' if name == 'joint' else f'--set codec.{name}=...'})"
        for name, (old, new) in changes.items()
    )


def new_model(config: CodecConfig, seed: int, device: torch.device) -> JointCodec:
    """A codec with random weights, a function of the seed."""
    torch.manual_seed(seed)
    model: JointCodec = JointCodec(config).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def read_state(path: Path, keys: Collection[str] = SAVED, damaged: str = "") -> dict[str, Any]:
    """What a training has saved; FileNotFoundError or ValueError if there is none, or it is damaged.

    keys     that it must have: by default what `TrainState.save` writes
    damaged  what to say of a file that has not, in place of our own words
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path.parent} is no training: it has no {path.name}")
    try:
        saved = torch.load(path, weights_only=True, map_location="cpu")
        if not isinstance(saved, dict) or not saved.keys() >= set(keys):
            raise RuntimeError("other contents")
    except DAMAGED as error:
        raise ValueError(damaged or f"{path} is not a saved training, or damaged") from error
    return saved


def read_start(name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights that another training or a codec begins with, and what is known of how they were made.

    name     a run's folder (its average is taken), or a codec: a shipped name, a folder or a file
    returns  (tensors by name, about), "config" and "from" of it always there
    raises   FileNotFoundError, or ValueError or UserError if what is there is damaged
    """
    folder = Path(name)
    state = folder / STATE
    if state.is_file():
        model, step, settings = read_ema(state)
        return model.state_dict(), {
            "from": folder.resolve().name,
            **described(folder),
            "config": model.config.to_dict(),
            "step": step,
            "settings": settings,
        }
    try:
        path = resolve(name)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"there is no such folder, and {error}") from None
    if folder.is_dir() and not path.is_file():
        raise FileNotFoundError(f"{name} is neither a run (no state.pt) nor a codec (no {path.name})")
    config, tensors, fingerprint = load_weights(path)
    return tensors, {"from": fingerprint, **read_about(path), "config": config.to_dict()}


def read_ema(path: Path) -> tuple[JointCodec, int, dict[str, Any]]:
    """The averaged model of a training checkpoint, its step and the run's settings; ValueError if it is another
    network than its config tells.
    """
    saved = read_state(path)
    model = JointCodec(CodecConfig.from_dict(saved["config"]))
    _fill(model, saved["ema"], path)
    return model, int(saved["step"]), dict(saved["settings"])


def _fill(model: JointCodec, tensors: dict[str, Tensor], path: Path) -> None:
    try:
        fill(model, tensors)
    except WeightsError as error:
        hint = "variants of jscc.ablation that change the network can only be compared there"
        raise ValueError(f"{path}: {error} ({hint})") from None
