"""Shipped weights of DSIN and DWSIC: one safetensors file in float16 a system, with what it is in its metadata.

Of DWSIC only what a transmission needs is kept; the reconstruction of the other view served the training.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from jscc.distributed.codec import SYSTEMS, System, Widths, build
from jscc.distributed.state import read_saved
from jscc.model.checkpoint import fill
from jscc.train.run_folder import STATE, described

FORMAT: Final = "vergence-side-information-1"
TRAINING_ONLY: Final = ("private.", "common_density.")


@dataclass(frozen=True, slots=True)
class Trained:
    """Weights, ready to use: `model` in evaluation mode; `about` tells of the training; `fingerprint` of the file."""

    system: System
    model: nn.Module
    about: dict[str, Any]
    fingerprint: str


def shipped(system: str) -> Path:
    """Where the weights of a system lie that come with the project; they may be missing."""
    return Path(str(files("jscc.distributed"))) / "weights" / f"{system}.safetensors"


def save(path: Path, run: Path) -> int:
    """Write the averaged weights of a training run's folder; returns the bytes of the file.

    raises  FileNotFoundError, ValueError or UserError if `run` is no run of jscc.distributed
    """
    saved = read_saved(run / STATE)
    tensors = {
        name: tensor.half().contiguous() for name, tensor in saved["ema"].items() if not name.startswith(TRAINING_ONLY)
    }
    broken = sorted(name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all()))
    if broken:
        raise ValueError(f"not finite in float16: {', '.join(broken)}")
    about = {**described(run), "step": int(saved["step"]), "settings": saved["settings"]}
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {
        "format": FORMAT,
        "system": saved["system"],
        "widths": json.dumps(saved["widths"], sort_keys=True),
        "about": json.dumps(about, sort_keys=True),
    }
    save_file(tensors, path, metadata)
    path.chmod(0o644)
    return path.stat().st_size


def load(path: Path) -> Trained:
    """Read a file of `save`.

    raises  FileNotFoundError; ValueError if it is of another kind or does not fit its widths
    """
    if not path.is_file():
        raise FileNotFoundError(f"no weights file {path}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file: {error}") from error
    if metadata.get("format") != FORMAT or metadata.get("system") not in SYSTEMS:
        raise ValueError(f"{path} has format {metadata.get('format')!r}; expected {FORMAT!r}")
    system = cast(System, metadata["system"])
    model = build(system, Widths.from_dict(json.loads(metadata["widths"])))
    model = for_transmission(model)
    fill(model, tensors)
    model.eval().requires_grad_(False)
    return Trained(system, model, json.loads(metadata["about"]), fingerprint(tensors))


def for_transmission(model: nn.Module) -> nn.Module:
    """The same model without the parts that only training needs."""
    for part in TRAINING_ONLY:
        name = part.rstrip(".")
        if hasattr(model, name):
            delattr(model, name)
    return model


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """A mark that changes with any weight: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name}{list(tensors[name].shape)}".encode())
        digest.update(tensors[name].half().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
