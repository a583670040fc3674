"""Batches and how they are fed to a decoder."""

import numpy as np
import pytest

from center.decode.engines import Batch
from wire.geometry import DEFAULT_SIZE, PictureSize
from wire.runtime.errors import UserError

SIZE = PictureSize(144, 320)


def test_a_batch_has_the_symbols_of_its_size() -> None:
    assert Batch.absent(3).symbols.shape == (3, 2, 5120, 2)
    batch = Batch.noise(3, 4.0, SIZE)
    assert (len(batch), batch.size) == (3, SIZE)
    assert batch.symbols.shape == (3, 2, 7200, 2)
    assert batch.reliability.shape == (3, 2, 7200)


def test_a_decoder_is_fed_the_grid_of_the_latent_without_a_copy() -> None:
    batch = Batch.noise(1, size=SIZE)
    feed = batch.feed()
    assert feed["symbols"].shape == (1, 2, 10, 18, 40, 2)
    assert feed["reliability"].shape == (1, 2, 10, 18, 40)
    assert np.shares_memory(feed["symbols"], batch.symbols)
    channel, row, column = 3, 5, 7
    assert np.array_equal(
        feed["symbols"][0, 1, channel, row, column], batch.symbols[0, 1, (channel * 18 + row) * 40 + column]
    )


def test_a_decoder_of_version_0_1_is_fed_one_row_of_symbols_of_its_one_size() -> None:
    feed = Batch.noise(2).feed(flat=True)
    assert [feed[name].shape for name in ("symbols", "reliability")] == [(2, 2, 5120, 2), (2, 2, 5120)]
    with pytest.raises(UserError, match=f"knows pictures of {DEFAULT_SIZE} only, and {SIZE} is asked for"):
        Batch.noise(1, size=SIZE).feed(flat=True)
