"""Weights on disk: safetensors in float16 whose metadata carry the config and the codec hash. Loading is strict.

The values rounded to float16 are the truth: torch and ONNX both compute with them, in float32.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from jscc.model.config import CodecConfig
from wire.codec import WEIGHTS_FILE, shipped_folder

FORMAT: Final = "vergence-1"


class WeightsError(ValueError):
    """A weights file that is damaged, or that does not match its config exactly."""


def canonical(config: CodecConfig) -> str:
    """The config as JSON with one spelling: sorted keys, no spaces.

    A key that came later is left out where it changes nothing, so that older weights keep their hash.
    """
    values = config.to_dict()
    if values["interleaver"] == "none":
        del values["interleaver"]
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def codec_hash(config: CodecConfig, tensors: Mapping[str, Tensor]) -> str:
    """What stands for the weights, whatever file they are in: the first 16 hexadecimal digits of a sha256.

    Edge and center compare the hash of the files, `wire.codec_manifest`. This one covers the config as `canonical`
    JSON, then names, shapes and float16 bytes of all tensors, in name order.
    """
    digest = hashlib.sha256(canonical(config).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().half().contiguous().cpu()
        digest.update(f"{name}{list(tensor.shape)}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:16]


def rounded(model: nn.Module) -> dict[str, Tensor]:
    """The model's tensors in float16.

    raises  WeightsError for values that float16 cannot hold
    """
    tensors = {name: tensor.detach().half().contiguous().cpu() for name, tensor in model.state_dict().items()}
    broken = not_finite(tensors)
    if broken:
        raise WeightsError(f"not finite in float16: {', '.join(broken)}")
    return tensors


def not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """Names of those that hold NaN or an infinity, sorted."""
    return sorted(name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all()))


def save_weights(path: Path, config: CodecConfig, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> str:
    """Write float16 tensors with their config.

    about    preset and training, as JSON types, for the metadata
    returns  the codec hash
    """
    fingerprint = codec_hash(config, tensors)
    metadata = {
        "format": FORMAT,
        "config": canonical(config),
        "codec_hash": fingerprint,
        "about": json.dumps(dict(about), sort_keys=True),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(dict(tensors), path, metadata)
    path.chmod(0o644)  # safetensors leaves it readable by its owner only
    return fingerprint


def load_weights(path: Path) -> tuple[CodecConfig, dict[str, Tensor], str]:
    """Read a weights file.

    returns  (config, float16 tensors by name, codec hash)
    raises   FileNotFoundError; WeightsError if it is no such file, its content does not have the hash that it states,
             or a weight is not finite
    """
    if not path.is_file():
        raise FileNotFoundError(f"no weights file {path}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except SafetensorError as error:
        raise WeightsError(f"{path} is not a safetensors file: {error}") from error
    if metadata.get("format") != FORMAT:
        raise WeightsError(f"{path} has format {metadata.get('format')!r}; expected {FORMAT!r}")
    try:
        config = CodecConfig.from_dict(json.loads(metadata["config"]))
        stated = metadata["codec_hash"]
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        why = type(error).__name__
        raise WeightsError(f"{path} does not say what it holds ({why}): the file is damaged") from error
    found = codec_hash(config, tensors)
    if found != stated:
        raise WeightsError(f"{path} states codec hash {stated[:64]} but its content has {found}: the file is damaged")
    broken = not_finite(tensors)
    if broken:
        raise WeightsError(f"{path} has weights that are not finite numbers: {', '.join(broken[:5])}; train it again")
    return config, tensors, found


def read_about(path: Path) -> dict[str, Any]:
    """What the file says of its preset and training."""
    with safe_open(path, framework="pt") as file:
        return dict(json.loads((file.metadata() or {}).get("about", "{}")))


def fill(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load tensors into a model, all of them and no others.

    raises  WeightsError that names what is missing, surplus or of another shape
    """
    wanted = model.state_dict()
    complaints = [f"missing {name}" for name in sorted(set(wanted) - set(tensors))]
    complaints += [f"unexpected {name}" for name in sorted(set(tensors) - set(wanted))]
    complaints += [
        f"{name} has shape {list(tensors[name].shape)}, expected {list(wanted[name].shape)}"
        for name in sorted(set(tensors) & set(wanted))
        if tensors[name].shape != wanted[name].shape
    ]
    if complaints:
        raise WeightsError("weights do not fit the config: " + "; ".join(complaints[:5]))
    model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, strict=True)


def resolve(path_or_name: str | Path) -> Path:
    """The path of the safetensors file for a shipped name, a folder or a file.

    raises  FileNotFoundError for a name that is not shipped, with those that are
    """
    path = Path(path_or_name)
    if path.suffix == ".safetensors":
        return path
    if path.is_dir():
        return path / WEIGHTS_FILE
    shipped = shipped_folder() / str(path_or_name) / WEIGHTS_FILE
    if not shipped.is_file():
        names = sorted(folder.parent.name for folder in shipped_folder().glob(f"*/{WEIGHTS_FILE}"))
        raise FileNotFoundError(f"no weights called {str(path_or_name)!r}; shipped: {', '.join(names) or 'none'}")
    return shipped
