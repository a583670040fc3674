import hashlib
import json
import math
import os
import subprocess
import sys
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
from wire.geometry import DEFAULT_SIZE, PictureSize

AGREEMENT = 1e-4
SHIPPED = ("small-baseline", "small-joint", "small-ms-ssim")
ODD = PictureSize(144, 272)
SNRS = [3.0, math.inf, -math.inf, -3.0, 14.0]


def session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def check_encoder(codec: Codec, path: Path, batches: tuple[int, ...], size: PictureSize = DEFAULT_SIZE) -> None:
    graph = session(path)
    assert [i.name for i in graph.get_inputs()] == ["picture", "snr_db"]
    assert [o.name for o in graph.get_outputs()] == ["symbols"]
    for batch in batches:
        picture, snr_db = torch.rand(batch, 3, size.rows, size.columns), torch.tensor(SNRS[:batch])
        (symbols,) = graph.run(None, {"picture": picture.numpy(), "snr_db": snr_db.numpy()})
        np.testing.assert_allclose(symbols, codec.encode(picture, snr_db).numpy(), atol=AGREEMENT, rtol=0)
        assert np.allclose((symbols**2).sum(-1).mean(-1), 1, atol=1e-4)


def check_decoder(codec: Codec, path: Path, batches: tuple[int, ...], size: PictureSize = DEFAULT_SIZE) -> None:
    graph = session(path)
    assert [i.name for i in graph.get_inputs()] == ["symbols", "reliability", "snr_db"]
    assert [o.name for o in graph.get_outputs()] == ["pictures"]
    for batch in batches:
        grid = batch, 2, 10, *size.latent
        symbols, reliability = torch.randn(*grid, 2) * 0.7, torch.rand(grid)
        snr_db = torch.tensor([[SNRS[i % 5], SNRS[(i * 2 + 1) % 5]] for i in range(batch)])
        feed = {"symbols": symbols.numpy(), "reliability": reliability.numpy(), "snr_db": snr_db.numpy()}
        (pictures,) = graph.run(None, feed)
        assert np.isfinite(pictures).all()
        exact = codec.decode(symbols.flatten(2, 4), reliability.flatten(2), snr_db, size)
        np.testing.assert_allclose(pictures, exact.numpy(), atol=AGREEMENT, rtol=0)


def test_the_encoders_agree(tiny: Codec, tiny_folder: Path) -> None:
    check_encoder(tiny, tiny_folder / "encoder.onnx", (1, 3, 5))


def test_the_decoders_agree(tiny: Codec, tiny_folder: Path) -> None:
    check_decoder(tiny, tiny_folder / "decoder.onnx", (1, 3, 5))


@pytest.mark.parametrize("size", [PictureSize(128, 272), PictureSize(144, 320), PictureSize(256, 512)], ids=str)
def test_both_halves_agree_on_any_size(tiny: Codec, tiny_folder: Path, size: PictureSize) -> None:
    check_encoder(tiny, tiny_folder / "encoder.onnx", (1, 3), size)
    check_decoder(tiny, tiny_folder / "decoder.onnx", (1, 3), size)


def test_memory_is_bounded_where_scores_grow_with_the_square_of_the_picture(tiny_folder: Path) -> None:
    """At 512x1024 all scores of one view to the other are 268 MB, for both views 537 MB, and as many weights. In pieces
    a decoder of the tiny preset takes about 350 MB, all at once 1.2 GB."""
    code = """
import resource, sys
import numpy as np
from wire.codec import load_onnx
session = load_onnx(sys.argv[1], "decoder", 1).session
grid = (1, 2, 10, 64, 128)
feed = {
    "symbols": np.ones((*grid, 2), np.float32),
    "reliability": np.ones(grid, np.float32),
    "snr_db": np.full((1, 2), 10.0, np.float32),
}
for _ in range(2):
    session.run(None, feed)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
    if not Path("/proc/self/status").exists():
        pytest.skip("peak memory is read from /proc, which this system has not")
    run = subprocess.run([sys.executable, "-c", code, str(tiny_folder)], capture_output=True, text=True, check=True)
    assert int(run.stdout) * 1024 < 600e6


def test_all_shipped_codecs_are_tested() -> None:
    assert sorted(folder.name for folder in shipped_folder().iterdir() if folder.is_dir()) == sorted(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_weights_agree(name: str) -> None:
    folder, codec = shipped_folder() / name, load(name)
    check_encoder(codec, folder / "encoder.onnx", (1, 2))
    check_decoder(codec, folder / "decoder.onnx", (1, 2))
    check_encoder(codec, folder / "encoder.onnx", (1,), ODD)
    check_decoder(codec, folder / "decoder.onnx", (1,), ODD)


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


def test_nothing_is_in_a_file_that_is_another_in_the_next_export(tiny_folder: Path) -> None:
    """Hosts that export the same weights must come to the same hash. The exporter leaves sets beside the graph, whose
    order depends on `PYTHONHASHSEED`."""
    for folder in (tiny_folder, *(shipped_folder() / name for name in SHIPPED)):
        for role in ("encoder", "decoder"):
            graph = onnx.load(folder / f"{role}.onnx").graph
            assert not graph.metadata_props
            assert not any(node.metadata_props for node in graph.node)


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
