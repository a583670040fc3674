"""OpenVINO: the same pictures as onnxruntime's, nearly, and nobody is told."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from center.decode.engines import Batch, OnnxEngine, OpenVinoEngine, load, warm_up
from center.decode.engines.openvino_engine import is_installed
from tests.decoders import MOST_LOST, SIZES, batch_of, decibels_lost, write_decoder
from wire import units
from wire.geometry import PictureSize
from wire.quality import psnr
from wire.runtime.errors import UserError

needs_openvino = pytest.mark.skipif(not is_installed(), reason="openvino is not installed; the openvino extra has it")


@needs_openvino
def test_openvino_decodes_any_batch_size(tmp_path: Path) -> None:
    engine = OpenVinoEngine(write_decoder(tmp_path), threads=1)
    assert engine.codec_hash == "00c0ffee00c0ffee"
    warm_up(engine, 3)
    pictures = engine.decode(batch_of(3))
    assert (pictures.shape, pictures.dtype) == ((3, 2, 3, 128, 256), np.float32)
    assert np.allclose(pictures[:, 0].mean(axis=(1, 2, 3)), [0.1, 0.2, 0.3], atol=2e-3)
    assert not pictures[:, 1].any()


@needs_openvino
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_openvino_decodes_any_size_of_pictures(tmp_path: Path, size: PictureSize) -> None:
    pictures = OpenVinoEngine(write_decoder(tmp_path), threads=1).decode(batch_of(2, size))
    assert pictures.shape == (2, 2, 3, size.rows, size.columns)
    assert np.allclose(pictures[:, 0].mean(axis=(1, 2, 3)), [0.1, 0.2], atol=2e-3)


@needs_openvino
def test_a_decoder_of_version_0_1_decodes_its_one_size(tmp_path: Path) -> None:
    engine = OpenVinoEngine(write_decoder(tmp_path, flat=True), threads=1)
    warm_up(engine, 2)
    with pytest.raises(UserError, match="knows pictures of 128x256 only, and 256x512 is asked for"):
        engine.decode(batch_of(1, PictureSize(256, 512)))


@needs_openvino
def test_pictures_stay_when_the_next_batch_is_decoded(tmp_path: Path) -> None:
    engine = OpenVinoEngine(write_decoder(tmp_path), threads=1)
    first = engine.decode(batch_of(2))
    kept = first.copy()
    engine.decode(Batch.noise(2))
    assert np.array_equal(first, kept)


@needs_openvino
@pytest.mark.parametrize("snr_db", [-2.0, 4.0, 12.0])
def test_less_than_a_twentieth_of_a_decibel_is_lost(snr_db: float) -> None:
    assert decibels_lost(OpenVinoEngine("small-joint", 2), snr_db) < MOST_LOST


@needs_openvino
def test_a_view_that_never_came_is_no_matter() -> None:
    batch = Batch.noise(1)
    batch.symbols[0, 1], batch.reliability[0, 1], batch.snr_db[0, 1] = 0.0, 0.0, units.ABSENT
    exact = OnnxEngine("small-joint", 2).decode(batch)[0, 0]
    fast = OpenVinoEngine("small-joint", 2).decode(batch)[0, 0]
    assert np.isfinite(fast).all()
    assert psnr(fast, exact) > 40.0


@needs_openvino
def test_files_that_are_no_decoders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a vergence decoder"):
        OpenVinoEngine(write_decoder(tmp_path, role="encoder"), threads=1)
    with pytest.raises(UserError, match="takes symbols, reliability, mu instead of symbols, reliability, snr_db"):
        OpenVinoEngine(write_decoder(tmp_path, rename="mu"), threads=1)
    (tmp_path / "decoder.onnx").write_bytes(b"not a model")
    with pytest.raises(UserError, match="cannot be loaded"):
        OpenVinoEngine(str(tmp_path), threads=1)


def test_without_openvino_the_engine_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(UserError, match=r"pip install '\.\[openvino\]'"):
        load("small-joint", "openvino", "cpu", 1)


@needs_openvino
def test_what_reports_to_its_maker_is_never_imported() -> None:
    code = """
import sys
from center.decode.engines import OpenVinoEngine
OpenVinoEngine("small-joint", 1)
print([name for name in sys.modules if name.partition(".")[0] == "openvino_telemetry"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@needs_openvino
def test_symbols_find_their_places_in_large_pictures() -> None:
    """The decoder computes where each symbol went, among 20,480; a wrong place would tear the picture up."""
    size = PictureSize(256, 512)
    batch, chance = Batch.absent(1, size), np.random.default_rng(1)
    batch.symbols[:] = chance.normal(0, 0.5**0.5, batch.symbols.shape)
    batch.reliability[:], batch.snr_db[:] = 0.9, 9.0
    exact, near = OnnxEngine("small-joint", 2).decode(batch), OpenVinoEngine("small-joint", 2).decode(batch)
    assert float(np.mean((near - exact) ** 2)) < 1e-3 * float(np.var(exact))
