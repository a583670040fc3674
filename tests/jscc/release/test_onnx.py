import hashlib
import json
import math
import os
from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from jscc.model.checkpoint import WeightsError, load_weights, save_weights
from jscc.model.codec import Codec, load
from jscc.release.onnx import export, main
from wire.codec import WEIGHTS_FILE, Role, load_onnx, shipped_folder
from wire.codec_manifest import MANIFEST_FILE

AGREEMENT = 1e-4
SHIPPED = ("small-baseline", "small-joint", "small-ms-ssim")
SNRS = [3.0, math.inf, -math.inf, -3.0, 14.0]


def session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def check_encoder(codec: Codec, path: Path, batches: tuple[int, ...]) -> None:
    graph = session(path)
    assert [i.name for i in graph.get_inputs()] == ["picture", "snr_db"]
    assert [o.name for o in graph.get_outputs()] == ["symbols"]
    for batch in batches:
        picture, snr_db = torch.rand(batch, 3, 128, 256), torch.tensor(SNRS[:batch])
        (symbols,) = graph.run(None, {"picture": picture.numpy(), "snr_db": snr_db.numpy()})
        np.testing.assert_allclose(symbols, codec.encode(picture, snr_db).numpy(), atol=AGREEMENT, rtol=0)
        assert np.allclose((symbols**2).sum(-1).mean(-1), 1, atol=1e-4)


def check_decoder(codec: Codec, path: Path, batches: tuple[int, ...]) -> None:
    graph = session(path)
    assert [i.name for i in graph.get_inputs()] == ["symbols", "reliability", "snr_db"]
    assert [o.name for o in graph.get_outputs()] == ["pictures"]
    for batch in batches:
        symbols, reliability = torch.randn(batch, 2, 5120, 2) * 0.7, torch.rand(batch, 2, 5120)
        snr_db = torch.tensor([[SNRS[i % 5], SNRS[(i * 2 + 1) % 5]] for i in range(batch)])
        feed = {"symbols": symbols.numpy(), "reliability": reliability.numpy(), "snr_db": snr_db.numpy()}
        (pictures,) = graph.run(None, feed)
        assert np.isfinite(pictures).all()
        np.testing.assert_allclose(pictures, codec.decode(symbols, reliability, snr_db).numpy(), atol=AGREEMENT, rtol=0)


def test_the_encoders_agree(tiny: Codec, tiny_folder: Path) -> None:
    check_encoder(tiny, tiny_folder / "encoder.onnx", (1, 3, 5))


def test_the_decoders_agree(tiny: Codec, tiny_folder: Path) -> None:
    check_decoder(tiny, tiny_folder / "decoder.onnx", (1, 3, 5))


def test_all_shipped_codecs_are_tested() -> None:
    assert sorted(folder.name for folder in shipped_folder().iterdir() if folder.is_dir()) == sorted(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_weights_agree(name: str) -> None:
    folder, codec = shipped_folder() / name, load(name)
    check_encoder(codec, folder / "encoder.onnx", (1, 2))
    check_decoder(codec, folder / "decoder.onnx", (1, 2))


def test_the_files_say_what_they_are(tiny: Codec, tiny_folder: Path) -> None:
    for role in ("encoder", "decoder"):
        meta = session(tiny_folder / f"{role}.onnx").get_modelmeta().custom_metadata_map
        assert meta["vergence.codec_hash"] == tiny.codec_hash
        assert meta["vergence.role"] == role
        assert meta["vergence.preset"] == "tiny"
        assert json.loads(meta["vergence.config"]) == tiny.config.to_dict()


def test_weights_are_stored_in_half_precision_and_no_path_leaks(tiny_folder: Path) -> None:
    for role in ("encoder", "decoder"):
        content = (tiny_folder / f"{role}.onnx").read_bytes()
        assert os.fsencode(Path.cwd()) not in content
        assert b"/jscc/" not in content
        weights = [i for i in onnx.load_from_string(content).graph.initializer if i.name.endswith("weight_f16")]
        assert weights
        assert all(i.data_type == onnx.TensorProto.FLOAT16 for i in weights)


def test_weights_that_are_not_there_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"^python -m jscc\.export: no weights called 'nope'; shipped: "):
        main(["--weights", "nope", "--out", str(tmp_path)])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_weights_that_are_no_numbers_are_not_exported(tmp_path: Path, tiny_folder: Path, value: float) -> None:
    config, tensors, _ = load_weights(tiny_folder / WEIGHTS_FILE)
    name = max(tensors, key=lambda each: tensors[each].numel())
    tensors[name].view(-1)[7] = value
    save_weights(tmp_path / WEIGHTS_FILE, config, tensors, {"preset": "tiny"})
    with pytest.raises(WeightsError, match=rf"has weights that are not finite numbers: {name}; train it again$"):
        export(tmp_path / WEIGHTS_FILE, tmp_path)
    assert not (tmp_path / "encoder.onnx").exists()


def test_an_export_lists_its_files_and_both_halves_agree(tiny_folder: Path) -> None:
    hashes = {load_onnx(str(tiny_folder), role, 1).codec_hash for role in get_args(Role)}
    listed = (tiny_folder / MANIFEST_FILE).read_text()
    assert hashes == {hashlib.sha256(listed.encode()).hexdigest()[:16]}
