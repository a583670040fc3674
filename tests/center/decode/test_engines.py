"""Engines, with decoders of a few nodes."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import jscc.model
from center.decode.engines import Batch, OnnxEngine, load, warm_up
from wire.codec import HASH_KEY, ROLE_KEY
from wire.runtime.errors import UserError

B = "batch"
SHAPES: dict[str, list[str | int | None]] = {"symbols": [B, 2, 5120, 2], "reliability": [B, 2, 5120], "snr_db": [B, 2]}


def write_decoder(folder: Path, *, role: str = "decoder", rename: str = "snr_db", rows: int = 128) -> str:
    """A decoder whose picture is the mean of I of the view's symbols, everywhere."""
    inputs = [
        helper.make_tensor_value_info(rename if name == "snr_db" else name, TensorProto.FLOAT, shape)
        for name, shape in SHAPES.items()
    ]
    constants = [
        helper.make_tensor("start", TensorProto.INT64, [1], [0]),
        helper.make_tensor("end", TensorProto.INT64, [1], [1]),
        helper.make_tensor("axis", TensorProto.INT64, [1], [3]),
        helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3]),
        helper.make_tensor("last", TensorProto.INT64, [1], [4]),
        helper.make_tensor("shape", TensorProto.INT64, [5], [1, 1, 3, rows, 256]),
    ]
    nodes = [
        helper.make_node("Slice", ["symbols", "start", "end", "axis"], ["in_phase"]),
        helper.make_node("ReduceMean", ["in_phase", "axes"], ["mean"]),
        helper.make_node("Unsqueeze", ["mean", "last"], ["grey"]),
        helper.make_node("Expand", ["grey", "shape"], ["pictures"]),
    ]
    output = helper.make_tensor_value_info("pictures", TensorProto.FLOAT, [B, 2, 3, rows, 256])
    model = helper.make_model(
        helper.make_graph(nodes, "tiny", inputs, [output], constants),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    helper.set_model_props(model, {HASH_KEY: "00c0ffee00c0ffee", ROLE_KEY: role})
    onnx.save(model, str(folder / "decoder.onnx"))
    return str(folder)


def batch_of(size: int) -> Batch:
    batch = Batch.absent(size)
    for i in range(size):
        batch.symbols[i, 0, :, 0] = 0.1 * (i + 1)
        batch.snr_db[i, 0] = np.inf
    return batch


def test_onnxruntime_decodes_any_batch_size(tmp_path: Path) -> None:
    engine = OnnxEngine(write_decoder(tmp_path), threads=1)
    assert engine.codec_hash == "00c0ffee00c0ffee"
    warm_up(engine, 3)
    pictures = engine.decode(batch_of(3))
    assert (pictures.shape, pictures.dtype) == ((3, 2, 3, 128, 256), np.float32)
    assert np.allclose(pictures[:, 0].mean(axis=(1, 2, 3)), [0.1, 0.2, 0.3], atol=1e-4)
    assert not pictures[:, 1].any()


def test_without_cuda_auto_takes_onnxruntime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("center.decode.engines._sees_cuda", lambda: False)
    assert load(write_decoder(tmp_path), "auto", "auto", 1).name == "onnxruntime on cpu"


@pytest.mark.parametrize(
    ("kind", "device", "line"),
    [("onnxruntime", "cuda", "set engine.kind to torch"), ("torch", "cuda", "torch sees no CUDA device")],
)
def test_an_engine_that_cannot_be_had_says_what_to_do(kind: Any, device: Any, line: str) -> None:
    torch = ModuleType("torch")
    torch.cuda = SimpleNamespace(is_available=lambda: False)  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "torch", torch)
        with pytest.raises(UserError, match=line):
            load("small-joint", kind, device, 1)


def test_without_torch_the_torch_engine_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match=r"pip install '\.\[gpu\]'"):
        load("small-joint", "torch", "cpu", 1)


def test_a_file_of_the_other_role_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a vergence decoder"):
        OnnxEngine(write_decoder(tmp_path, role="encoder"), threads=1)


def test_a_decoder_with_other_inputs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="takes symbols, reliability, mu instead of symbols, reliability, snr_db"):
        OnnxEngine(write_decoder(tmp_path, rename="mu"), threads=1)


def test_a_decoder_of_other_pictures_does_not_get_warm(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"pictures of shape \(1, 2, 3, 64, 256\)"):
        warm_up(OnnxEngine(write_decoder(tmp_path, rows=64), threads=1), 2)


def test_torch_decodes_what_its_codec_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    seen: list[Any] = []

    class Codec:
        codec_hash = "00c0ffee00c0ffee"

        def decode(self, *inputs: Any) -> Any:
            seen.extend(inputs)
            return torch.full((len(inputs[0]), 2, 3, 128, 256), 0.5)

    models = ModuleType("jscc.model.codec")
    models.load = lambda weights, device: Codec()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "jscc.model.codec", models)
    monkeypatch.setattr(jscc.model, "codec", models, raising=False)  # where another test has imported it already
    engine = load("small-joint", "torch", "cpu", 0)
    warm_up(engine, 2)
    assert engine.name == "torch on cpu"
    assert engine.codec_hash == OnnxEngine("small-joint", threads=1).codec_hash  # of the manifest, whatever decodes
    assert np.all(engine.decode(batch_of(2)) == 0.5)
    assert tuple(seen[-3].shape) == (2, 2, 5120, 2)
