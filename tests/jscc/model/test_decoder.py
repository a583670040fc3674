import math

import pytest
import torch

from jscc.model.codec import Codec, JointCodec
from jscc.model.config import preset
from jscc.model.decoder import Decoder
from tests.jscc.conftest import livened

SIZE = (32, 64)
K = 10 * 4 * 8


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    torch.manual_seed(0)
    return livened(JointCodec(preset("tiny"))).eval().requires_grad_(False).decoder


def received(pairs: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    symbols = torch.randn(pairs, 2, K, 2, generator=generator)
    reliability = torch.rand(pairs, 2, K, generator=generator)
    snr_db = torch.rand(pairs, 2, generator=generator) * 17 - 3
    return symbols, reliability, snr_db


@pytest.mark.parametrize("special", [None, math.inf, -math.inf])
def test_swapping_views_and_sides_swaps_the_pictures_exactly(decoder: Decoder, special: float | None) -> None:
    symbols, reliability, snr_db = received(3)
    if special is not None:
        snr_db[1, 0] = special
    straight = decoder(symbols, reliability, snr_db, SIZE)
    swapped = decoder(symbols.flip(1), reliability.flip(1), snr_db.flip(1), SIZE, torch.tensor([-1.0, 1.0]))
    assert torch.equal(swapped.flip(1), straight)


def test_the_side_matters(decoder: Decoder) -> None:
    symbols, reliability, snr_db = received(1)
    swapped = decoder(symbols.flip(1), reliability.flip(1), snr_db.flip(1), SIZE)
    assert not torch.equal(swapped.flip(1), decoder(symbols, reliability, snr_db, SIZE))


def test_pairs_of_one_batch_do_not_mix(decoder: Decoder) -> None:
    symbols, reliability, snr_db = received(3)
    together = decoder(symbols, reliability, snr_db, SIZE)
    for index in range(3):
        one = slice(index, index + 1)
        torch.testing.assert_close(
            decoder(symbols[one], reliability[one], snr_db[one], SIZE)[0], together[index], atol=1e-5, rtol=1e-5
        )


@pytest.mark.parametrize("junk", [1.0, 1e6, math.nan])
def test_what_an_absent_view_brings_is_ignored_exactly(decoder: Decoder, junk: float) -> None:
    symbols, reliability, snr_db = received(2)
    snr_db[:, 1] = -math.inf
    symbols[:, 1], reliability[:, 1] = 0, 0
    silent = decoder(symbols, reliability, snr_db, SIZE)
    symbols[:, 1], reliability[:, 1] = junk, junk
    assert torch.equal(decoder(symbols, reliability, snr_db, SIZE), silent)
    assert torch.isfinite(silent).all()


@pytest.mark.parametrize("view", [0, 1])
def test_the_other_views_symbols_and_snr_count(decoder: Decoder, view: int) -> None:
    symbols, reliability, snr_db = received(1)
    before = decoder(symbols, reliability, snr_db, SIZE)[:, view]
    louder = snr_db.clone()
    louder[:, 1 - view] = math.inf
    assert not torch.equal(decoder(symbols, reliability, louder, SIZE)[:, view], before)
    symbols[:, 1 - view] = symbols[:, 1 - view].roll(5, 1)
    assert not torch.equal(decoder(symbols, reliability, snr_db, SIZE)[:, view], before)


def test_the_baseline_sees_nothing_of_the_other_view() -> None:
    torch.manual_seed(0)
    decoder = livened(JointCodec(preset("tiny", joint=False))).eval().requires_grad_(False).decoder
    assert decoder.scam is None
    assert decoder.epipolar is None
    symbols, reliability, snr_db = received(1)
    before = decoder(symbols, reliability, snr_db, SIZE)
    symbols[:, 1], reliability[:, 1], snr_db[:, 1] = 3.0, 0.5, -math.inf
    assert torch.equal(decoder(symbols, reliability, snr_db, SIZE)[:, 0], before[:, 0])


def test_decode_clamps_and_has_the_full_size(tiny: Codec) -> None:
    pictures = tiny.decode(torch.randn(1, 2, 5120, 2) * 4, torch.ones(1, 2, 5120), torch.full((1, 2), 10.0))
    assert pictures.shape == (1, 2, 3, 128, 256)
    assert float(pictures.min()) >= 0
    assert float(pictures.max()) <= 1
