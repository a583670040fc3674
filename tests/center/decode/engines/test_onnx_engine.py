"""onnxruntime, with decoders of a few nodes."""

from pathlib import Path

import numpy as np
import pytest

from center.decode.engines import OnnxEngine, warm_up
from tests.decoders import batch_of, write_decoder
from wire.runtime.errors import UserError


def test_onnxruntime_decodes_any_batch_size(tmp_path: Path) -> None:
    engine = OnnxEngine(write_decoder(tmp_path), threads=1)
    assert engine.codec_hash == "00c0ffee00c0ffee"
    warm_up(engine, 3)
    pictures = engine.decode(batch_of(3))
    assert (pictures.shape, pictures.dtype) == ((3, 2, 3, 128, 256), np.float32)
    assert np.allclose(pictures[:, 0].mean(axis=(1, 2, 3)), [0.1, 0.2, 0.3], atol=1e-4)
    assert not pictures[:, 1].any()


def test_a_file_of_the_other_role_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a vergence decoder"):
        OnnxEngine(write_decoder(tmp_path, role="encoder"), threads=1)


def test_a_decoder_with_other_inputs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="takes symbols, reliability, mu instead of symbols, reliability, snr_db"):
        OnnxEngine(write_decoder(tmp_path, rename="mu"), threads=1)
