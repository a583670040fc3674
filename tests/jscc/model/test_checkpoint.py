import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from jscc.model.checkpoint import WeightsError, canonical, codec_hash, fill, load_weights, rounded, save_weights
from jscc.model.codec import JointCodec, load
from jscc.model.config import preset
from wire.codec import WEIGHTS_FILE


@pytest.fixture
def model() -> JointCodec:
    torch.manual_seed(1)
    return JointCodec(preset("tiny"))


def test_loaded_weights_are_the_rounded_ones(model: JointCodec, tmp_path: Path) -> None:
    written = save_weights(tmp_path / WEIGHTS_FILE, model.config, rounded(model), {"preset": "tiny"})
    codec = load(tmp_path / WEIGHTS_FILE)
    assert codec.codec_hash == written
    for name, tensor in codec.model.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name].half().float())


def test_the_hash_knows_config_values_and_names(model: JointCodec) -> None:
    tensors = rounded(model)
    first = codec_hash(model.config, tensors)
    assert len(first) == 16
    assert codec_hash(model.config, dict(reversed(tensors.items()))) == first
    assert codec_hash(preset("small"), tensors) != first
    name = "encoder.compress.bias"
    assert codec_hash(model.config, {**tensors, name: tensors[name] + 1}) != first


def test_weights_from_before_there_was_an_order_keep_their_hash(model: JointCodec, tmp_path: Path) -> None:
    """Their config lacks the key; to them it says nothing. The order itself is part of the hash."""
    plain, tensors = dataclasses.replace(model.config, interleaver="none"), rounded(model)
    assert "interleaver" not in canonical(plain)
    assert codec_hash(plain, tensors) != codec_hash(model.config, tensors)
    older = {key: value for key, value in plain.to_dict().items() if key != "interleaver"}
    path = tmp_path / WEIGHTS_FILE
    written = save_weights(path, plain, tensors, {})
    with safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["config"]) == older
    assert load_weights(path)[0] == plain
    assert load_weights(path)[2] == written


def test_a_changed_file_is_refused(model: JointCodec, tmp_path: Path) -> None:
    path = tmp_path / WEIGHTS_FILE
    save_weights(path, model.config, rounded(model), {})
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    tensors["encoder.compress.bias"] += 1
    save_file(tensors, path, metadata)
    with pytest.raises(WeightsError, match="the file is damaged"):
        load_weights(path)


def test_loading_is_strict(model: JointCodec) -> None:
    tensors = rounded(model)
    with pytest.raises(WeightsError, match=r"missing encoder\.compress\.bias"):
        fill(model, {name: tensor for name, tensor in tensors.items() if name != "encoder.compress.bias"})
    with pytest.raises(WeightsError, match="unexpected surplus"):
        fill(model, {**tensors, "surplus": torch.zeros(1)})
    with pytest.raises(WeightsError, match=r"encoder\.compress\.bias has shape \[3\], expected \[20\]"):
        fill(model, {**tensors, "encoder.compress.bias": torch.zeros(3)})


def test_weights_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no weights called 'no-such-weights'; shipped: "):
        load("no-such-weights")
    with pytest.raises(FileNotFoundError, match="no weights file"):
        load(tmp_path)
    (tmp_path / WEIGHTS_FILE).write_bytes(b"not weights")
    with pytest.raises(WeightsError, match="not a safetensors file"):
        load(tmp_path)


def test_a_broken_model_is_not_saved(model: JointCodec) -> None:
    with torch.no_grad():
        model.encoder.compress.bias[0] = 1e6  # type: ignore[index]
    with pytest.raises(WeightsError, match=r"not finite in float16: encoder\.compress\.bias"):
        rounded(model)
