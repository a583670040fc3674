import dataclasses

import numpy as np
import pytest
import torch

from jscc.model.codec import JointCodec
from jscc.model.config import preset
from jscc.model.encoder import Encoder, to_symbols
from jscc.model.interleaver import arrived, golden_section, sent

GRIDS = [(16, 32), (8, 16), (18, 34), (32, 64), (64, 128), (128, 256), (2, 2), (16, 34), (22, 2)]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_every_symbol_is_sent_once_and_finds_back(grid: tuple[int, int]) -> None:
    order, places = sent(10, *grid), arrived(10, *grid)
    numbers = torch.arange(10 * grid[0] * grid[1])
    assert torch.equal(order.sort().values, numbers)
    assert torch.equal(order[places], numbers)
    assert torch.equal(places[order], numbers)


def test_the_order_is_the_one_that_other_programs_may_rely_on() -> None:
    """The first symbols of a picture of 128x256, worked out by hand: column 1 of the air is row 9 and column
    (1 + 19 * 9) % 32 = 12 of channel 3."""
    assert (golden_section(16), golden_section(32)) == (9, 19)
    assert sent(10, 16, 32)[:3].tolist() == [0, (3 * 16 + 9) * 32 + 12, (6 * 16 + 2) * 32 + 8]


@pytest.mark.parametrize("grid", [(16, 32), (128, 256)], ids=str)
def test_numbers_stay_exact_in_float32(grid: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Some engines compute integers in it; 1024x2048 is the largest size that is exported."""
    expected, arange = arrived(10, *grid), torch.arange
    monkeypatch.setattr(torch, "arange", lambda length, device: arange(length, device=device, dtype=torch.float32))
    in_floats = arrived(10, *grid)
    assert in_floats.dtype == torch.float32
    assert torch.equal(in_floats.long(), expected)


@pytest.mark.parametrize("grid", [(16, 32), (32, 64), (64, 128), (20, 96), (60, 36), (36, 52), (44, 32)], ids=str)
@pytest.mark.parametrize("share", [0.02, 0.05, 0.1])
def test_a_fade_takes_a_little_everywhere(grid: tuple[int, int], share: float) -> None:
    """Of each block of 4x4 cells, 160 symbols, a fade that takes a share of all takes at most thrice that share;
    unspread it takes up whole rows of a channel."""
    rows, columns = grid
    order, count = sent(10, rows, columns).numpy(), 10 * rows * columns
    length = round(share * count)
    worst = 0.0
    for start in np.linspace(0, count - length, 40).astype(int):
        channel, place = np.divmod(order[start : start + length], rows * columns)
        row, column = np.divmod(place, columns)
        hit = np.zeros((rows // 4, columns // 4))
        np.add.at(hit, (row // 4, column // 4), 1)
        worst = max(worst, hit.max() / 160)
        assert np.bincount(channel, minlength=10).min() > 0
    assert worst < 3 * share


def test_symbols_that_follow_each_other_are_far_apart() -> None:
    """Of two among eight in a row at most one pair in fifty lies less than four cells apart, down and across; at the
    worst size one in seven."""
    for rows, columns, most in ((16, 32, 0.02), (18, 34, 0.02), (32, 64, 0.02), (64, 128, 0.02), (44, 32, 1 / 7)):
        place = sent(10, rows, columns).numpy() % (rows * columns)
        row, column = np.divmod(place, columns)
        near = 0
        for step in range(1, 8):
            down, across = np.abs(row[step:] - row[:-step]), np.abs(column[step:] - column[:-step])
            near += int((np.maximum(down, across) < 4).sum())
        assert near / (7 * len(place)) < most, (rows, columns, near)


def test_neither_power_nor_pictures_depend_on_the_order() -> None:
    spread = preset("tiny")
    model = JointCodec(spread).eval()
    plain = JointCodec(dataclasses.replace(spread, interleaver="none")).eval()
    plain.load_state_dict(model.state_dict())
    for rows, columns in ((128, 256), (144, 256)):
        pictures, snr_db = torch.rand(2, 3, rows, columns), torch.tensor([3.0, 9.0])
        with torch.inference_mode():
            moved, raster = model.encoder(pictures, snr_db), plain.encoder(pictures, snr_db)
            assert not torch.equal(moved, raster)
            assert torch.equal(moved, raster[:, sent(10, rows // 8, columns // 8)])
            trust = torch.rand(1, 2, raster.shape[1])
            order = sent(10, rows // 8, columns // 8)
            decoded = model.decoder(moved[None], trust[:, :, order], snr_db[None], (rows, columns))
            expected = plain.decoder(raster[None], trust, snr_db[None], (rows, columns))
        assert torch.equal(decoded, expected)


def test_without_one_symbols_go_out_as_they_lie() -> None:
    encoder = Encoder(dataclasses.replace(preset("tiny"), interleaver="none"))
    latent: list[torch.Tensor] = []
    encoder.gain.register_forward_hook(lambda module, taken, made: latent.append(made))
    with torch.inference_mode():
        symbols = encoder(torch.rand(1, 3, 64, 128), torch.zeros(1))
    assert torch.equal(symbols, to_symbols(latent[0]))
    assert preset("paper").interleaver == "none"  # as far as its text tells
