from pathlib import Path

import numpy as np
import pytest

from edge.encode.encoder import Encoder
from tests.edge.conftest import HASH, tiny_encoder
from wire import units
from wire.geometry import LARGEST_SIZE, PictureSize
from wire.runtime.errors import UserError


def test_symbols_are_complex_of_unit_power_and_carry_the_codecs_hash(tiny_codec: str) -> None:
    encoder = Encoder(tiny_codec, threads=1)
    picture = np.random.default_rng(0).integers(0, 256, (128, 256, 3), np.uint8)
    symbols = encoder.encode(picture, snr_db=7.0)
    assert encoder.codec_hash == HASH
    assert symbols.shape == (5120,)
    assert symbols.dtype == np.complex64
    assert units.mean_power(symbols) == pytest.approx(1.0, abs=1e-5)


def test_the_picture_reaches_the_network_as_planes_in_0_to_1(tiny_codec: str) -> None:
    """The tiny encoder sends the first pixels of the red plane: I and Q are its neighbours in a row."""
    picture = np.random.default_rng(1).integers(0, 256, (128, 256, 3), np.uint8)
    symbols = Encoder(tiny_codec, threads=1).encode(picture, snr_db=units.NOISELESS)
    sent = picture[:, :, 0].reshape(-1)[: 2 * 5120].astype(np.float32) / 255 - 0.25
    expected = units.normalise_power((sent[0::2] + 1j * sent[1::2]).astype(np.complex64))
    np.testing.assert_allclose(symbols, expected, atol=1e-4)


@pytest.mark.parametrize("size", [PictureSize(256, 512), PictureSize(144, 272), LARGEST_SIZE], ids=str)
def test_a_picture_of_any_size_has_its_symbols(tiny_codec: str, size: PictureSize) -> None:
    encoder = Encoder(tiny_codec, 1, size)
    picture = np.random.default_rng(0).integers(0, 256, (size.rows, size.columns, 3), np.uint8)
    symbols = encoder.encode(picture, snr_db=7.0)
    assert symbols.shape == (size.symbols,)
    assert units.mean_power(symbols) == pytest.approx(1.0, abs=1e-4)


def test_an_encoder_of_one_size_says_which_it_takes(tmp_path: Path) -> None:
    tiny_encoder(tmp_path / "encoder.onnx", rows=128, columns=256)
    Encoder(str(tmp_path), threads=1)
    with pytest.raises(
        UserError, match="takes pictures of 128x256 only, not of 256x512; set size to that, or export it"
    ):
        Encoder(str(tmp_path), 1, PictureSize(256, 512))


def test_an_encoder_that_breaks_the_power_constraint_is_refused(tmp_path: Path) -> None:
    tiny_encoder(tmp_path / "encoder.onnx", gain=2.0)
    with pytest.raises(
        UserError, match=r"makes 5120 symbols of mean power 4.000; 5120 of power 1 are needed for 128x256"
    ):
        Encoder(str(tmp_path), threads=1)


def test_a_codec_that_is_not_there_is_a_problem() -> None:
    with pytest.raises(UserError, match="codec 'nowhere' is neither a folder nor shipped"):
        Encoder("nowhere", threads=1)


def test_the_shipped_encoder_makes_unit_power_at_every_snr() -> None:
    encoder = Encoder("small-joint", threads=1)
    picture = np.random.default_rng(0).integers(0, 256, (128, 256, 3), np.uint8)
    for snr_db in (-30.0, -2.0, 5.0, 12.0, 40.0, units.NOISELESS):
        assert units.mean_power(encoder.encode(picture, snr_db)) == pytest.approx(1.0, abs=1e-3)
