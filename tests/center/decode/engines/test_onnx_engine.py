"""onnxruntime, with decoders of a few nodes."""

from pathlib import Path

import numpy as np
import pytest

from center.decode.engines import Batch, OnnxEngine, warm_up
from tests.decoders import MOST_LOST, SIZES, batch_of, decibels_lost, write_decoder
from wire import units
from wire.geometry import PictureSize
from wire.quality import psnr
from wire.runtime.errors import UserError


def test_onnxruntime_decodes_any_batch_size(tmp_path: Path) -> None:
    engine = OnnxEngine(write_decoder(tmp_path), threads=1)
    assert engine.codec_hash == "00c0ffee00c0ffee"
    warm_up(engine, 3)
    pictures = engine.decode(batch_of(3))
    assert (pictures.shape, pictures.dtype) == ((3, 2, 3, 128, 256), np.float32)
    assert np.allclose(pictures[:, 0].mean(axis=(1, 2, 3)), [0.1, 0.2, 0.3], atol=1e-4)
    assert not pictures[:, 1].any()


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_onnxruntime_decodes_any_size_of_pictures(tmp_path: Path, size: PictureSize) -> None:
    pictures = OnnxEngine(write_decoder(tmp_path), threads=1).decode(batch_of(2, size))
    assert pictures.shape == (2, 2, 3, size.rows, size.columns)
    assert np.allclose(pictures[:, 0].mean(axis=(1, 2, 3)), [0.1, 0.2], atol=1e-4)


def test_a_decoder_of_version_0_1_decodes_its_one_size(tmp_path: Path) -> None:
    engine = OnnxEngine(write_decoder(tmp_path, flat=True), threads=1)
    warm_up(engine, 2)
    assert np.allclose(engine.decode(batch_of(2))[:, 0].mean(axis=(1, 2, 3)), [0.1, 0.2], atol=1e-4)
    with pytest.raises(UserError, match="knows pictures of 128x256 only, and 256x512 is asked for"):
        engine.decode(batch_of(1, PictureSize(256, 512)))


def test_a_file_of_the_other_role_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a vergence decoder"):
        OnnxEngine(write_decoder(tmp_path, role="encoder"), threads=1)


def test_a_decoder_with_other_inputs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="takes symbols, reliability, mu instead of symbols, reliability, snr_db"):
        OnnxEngine(write_decoder(tmp_path, rename="mu"), threads=1)


@pytest.mark.parametrize("snr_db", [-2.0, 4.0, 12.0])
def test_8_bit_integers_lose_less_than_a_twentieth_of_a_decibel(snr_db: float) -> None:
    assert decibels_lost(OnnxEngine("small-joint", 2, int8=True), snr_db) < MOST_LOST


def test_8_bit_integers_belong_to_the_same_codec() -> None:
    exact, coarse = OnnxEngine("small-joint", 1), OnnxEngine("small-joint", 1, int8=True)
    assert (coarse.name, coarse.codec_hash) == ("onnxruntime-i8 on cpu", exact.codec_hash)
    batch = Batch.noise(3)
    batch.symbols[1, 1], batch.reliability[1, 1], batch.snr_db[1, 1] = 0.0, 0.0, units.ABSENT
    pictures = coarse.decode(batch)
    assert np.isfinite(pictures).all()
    assert psnr(pictures[1, 0], exact.decode(batch)[1, 0]) > 35.0


def test_a_codec_without_8_bit_integers_says_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"decoder\.i8\.onnx does not exist; make one with `python -m jscc"):
        OnnxEngine(write_decoder(tmp_path), threads=1, int8=True)
