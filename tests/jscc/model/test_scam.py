import math

import pytest
import torch

from jscc.model import epipolar, scam
from jscc.model.config import preset
from jscc.model.epipolar import EpipolarAttention
from jscc.model.scam import (
    ABSENT_TOKEN,
    NOISELESS_TOKEN,
    SCAM,
    TOKENS,
    attend,
    cross_attention,
    exported_attention,
    swap_views,
    token_index,
)
from wire.geometry import DEFAULT_SIZE


@pytest.mark.parametrize(
    ("snr_db", "token"),
    [
        (-3.0, 0), (-2.51, 0), (-2.5, 1), (-2.0, 1), (0.0, 3), (0.49, 3), (0.5, 4), (13.49, 16), (13.5, 17), (14.0, 17),
        (-40.0, 0), (99.0, 17), (math.inf, NOISELESS_TOKEN), (-math.inf, ABSENT_TOKEN),
    ],
)  # fmt: skip
def test_each_snr_has_its_quality_token(snr_db: float, token: int) -> None:
    assert token_index(torch.tensor([snr_db])).tolist() == [token]


def test_there_are_18_snr_tokens_and_two_special_ones() -> None:
    assert (TOKENS, NOISELESS_TOKEN, ABSENT_TOKEN) == (20, 18, 19)


@pytest.mark.parametrize("positional", [False, True])
def test_scam_keeps_the_shape_and_looks_at_the_other_view(positional: bool) -> None:
    torch.manual_seed(0)
    module = SCAM(16, positional)
    x, snr_db = torch.randn(4, 16, 4, 8), torch.tensor([1.0, 5.0, math.inf, -math.inf])
    before = module(x, snr_db)
    assert before.shape == x.shape
    x[1] += 1
    after = module(x, snr_db)
    assert not torch.equal(after[0], before[0])  # its neighbour changed
    assert torch.equal(after[2:], before[2:])  # another pair


def test_the_paper_has_no_positions_so_a_permutation_of_keys_changes_nothing() -> None:
    torch.manual_seed(0)
    module = SCAM(16, positional=False)
    x, snr_db = torch.randn(2, 16, 4, 8), torch.tensor([1.0, 5.0])
    before = module(x, snr_db)[0]
    x[1] = x[1].flatten(1)[:, torch.randperm(32)].reshape(16, 4, 8)
    torch.testing.assert_close(module(x, snr_db)[0], before, atol=1e-5, rtol=1e-5)


def test_swap_views_exchanges_partners() -> None:
    assert swap_views(torch.arange(6)).tolist() == [1, 0, 3, 2, 5, 4]


@pytest.mark.parametrize("most", [64 * 65, 1000, 65, 1])
def test_queries_in_pieces_give_what_all_at_once_give(most: int) -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, 16, 65, generator=generator) for _ in range(3))
    torch.testing.assert_close(cross_attention(query, key, value, most), attend(query, key, value), atol=1e-5, rtol=0)


def test_a_picture_of_128x256_is_one_piece() -> None:
    """What was computed before there were pieces stays the same bit for bit."""
    tokens = 1 + DEFAULT_SIZE.latent[0] * DEFAULT_SIZE.latent[1]
    assert tokens**2 <= scam.MOST_SCORES
    rows, columns = DEFAULT_SIZE.rows // 4, DEFAULT_SIZE.columns // 4
    assert rows * preset("small").epipolar_heads * columns**2 <= epipolar.MOST_SCORES


def test_exported_attention_is_that_to_the_other_view() -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(6, 16, count, generator=generator) for count in (64, 65, 65))
    whole = attend(query, swap_views(key), swap_views(value))
    torch.testing.assert_close(exported_attention(query, key, value), whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("most", [2 * 20 * 20 * 3, 1])
def test_rows_in_pieces_give_what_all_at_once_give(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """20 columns and two heads: pieces of three rows of eight, and of one."""
    torch.manual_seed(0)
    attention = EpipolarAttention(16, 2, 1)
    pairs, known = torch.randn(4, 16, 8, 20), (torch.zeros(4, 1), torch.tensor([1.0, -1.0, 1.0, -1.0]))
    absent = torch.tensor([False, False, True, False])
    whole = attention(pairs, *known, absent)
    monkeypatch.setattr(epipolar, "MOST_SCORES", most)
    torch.testing.assert_close(attention(pairs, *known, absent), whole, atol=1e-5, rtol=0)


def test_row_attention_finds_a_shifted_row() -> None:
    """Left features are the right view's, three cells further right: the left must look three cells to the left."""
    torch.manual_seed(0)
    attention = EpipolarAttention(16, 2, 1)
    with torch.no_grad():
        attention.temperature.fill_(4.0)
        attention.query.weight.copy_(torch.eye(16)[:, :, None, None])
        attention.key.weight.copy_(attention.query.weight)
        attention.value.weight.copy_(attention.query.weight)
        attention.value.bias.zero_()  # type: ignore[union-attr]
        attention.fuse.weight.zero_()
        attention.fuse.weight[:, 16:32] = torch.eye(16)[:, :, None, None]
        attention.fuse.bias.zero_()  # type: ignore[union-attr]
    right = torch.randn(1, 16, 3, 20)
    pair = torch.cat((right.roll(3, 3), right))
    with torch.no_grad():
        fetched = attention(pair, torch.zeros(2, 1), torch.tensor([1.0, -1.0]), torch.tensor([False, False])) - pair
        own = attention.norm(pair)
    error = (fetched[:, :, :, 4:16] - own[:, :, :, 4:16]).abs().mean()
    assert float(error) < 0.15 * float(own.abs().mean())


def test_nobody_looks_at_an_absent_view() -> None:
    torch.manual_seed(0)
    attention = EpipolarAttention(16, 2, 1)
    pair, side, absent = torch.randn(2, 16, 3, 20), torch.tensor([1.0, -1.0]), torch.tensor([False, True])
    before = attention(pair, torch.zeros(2, 1), side, absent)[0]
    pair[1] = 100 * torch.randn(16, 3, 20)
    assert torch.equal(attention(pair, torch.zeros(2, 1), side, absent)[0], before)
