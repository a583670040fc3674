import math

import numpy as np
import pytest
import torch

from jscc.channel import Fading, transmit
from jscc.train.link_sampling import LinkSampling

B, K = 4, 50_000


def unit_symbols() -> torch.Tensor:
    return torch.randn(B, K, 2, generator=torch.Generator().manual_seed(1)) * 0.5**0.5


def measured_db(error: torch.Tensor, signal: torch.Tensor) -> torch.Tensor:
    return 10 * torch.log10(signal.square().sum((1, 2)) / error.square().sum((1, 2)))


def test_awgn_has_the_snr_that_each_picture_asked_for() -> None:
    snr_db, symbols = torch.tensor([-3.0, 0.0, 7.0, 14.0]), unit_symbols()
    estimate, reliability = transmit(symbols, snr_db, Fading.NONE, torch.Generator().manual_seed(2))
    torch.testing.assert_close(reliability[:, 0], 1 / (1 + 10 ** (-snr_db / 10)))
    noise = estimate / reliability[..., None] - symbols
    # 50,000 symbols: the noise power's standard error is 0.45 %, 0.02 dB
    torch.testing.assert_close(measured_db(noise, symbols), snr_db, atol=0.1, rtol=0)
    torch.testing.assert_close(noise[..., 0].var(), noise[..., 1].var(), atol=0, rtol=0.03)


@pytest.mark.parametrize("fading", list(Fading))
def test_the_equaliser_is_the_mmse_estimate(fading: Fading) -> None:
    """Its error is N0 / (|h|^2 + N0) on average: 1 - reliability; any other scale of it has a larger error."""
    symbols = unit_symbols()
    snr_db = torch.full((B,), 3.0)
    estimate, reliability = transmit(symbols, snr_db, fading, torch.Generator().manual_seed(3))
    error = (estimate - symbols).square().sum(-1).mean(-1)
    torch.testing.assert_close(error, (1 - reliability).mean(-1), atol=0.01, rtol=0)
    for scale in (0.9, 1.1):
        assert bool(((scale * estimate - symbols).square().sum(-1).mean(-1) > error).all())


def test_rayleigh_gains_have_unit_mean_power() -> None:
    snr_db = torch.full((B,), 0.0)
    _, reliability = transmit(unit_symbols(), snr_db, Fading.FAST, torch.Generator().manual_seed(4))
    strength = reliability / (1 - reliability)  # |h|^2 / N0, with N0 = 1
    assert abs(float(strength.mean()) - 1) < 0.02  # exponential: standard error 1 / sqrt(200,000) = 0.2 %
    assert abs(float((strength > 1).float().mean()) - math.exp(-1)) < 0.01


def test_block_fading_has_one_gain_a_picture() -> None:
    _, reliability = transmit(unit_symbols(), torch.full((B,), 5.0), Fading.BLOCK, torch.Generator().manual_seed(5))
    assert bool((reliability == reliability[:, :1]).all())
    assert len(set(reliability[:, 0].tolist())) == B


@pytest.mark.parametrize("fading", list(Fading))
def test_noiseless_and_absent(fading: Fading) -> None:
    symbols = unit_symbols()
    snr_db = torch.tensor([math.inf, -math.inf, math.inf, -math.inf])
    estimate, reliability = transmit(symbols, snr_db, fading)
    assert torch.equal(estimate[::2], symbols[::2])
    assert bool((reliability[::2] == 1).all())
    assert not bool(estimate[1::2].any())
    assert not bool(reliability[1::2].any())


def test_fading_is_a_property_of_each_picture_and_gradients_pass() -> None:
    symbols = unit_symbols().requires_grad_()
    fading = torch.tensor([Fading.NONE, Fading.FAST, Fading.BLOCK, Fading.NONE])
    estimate, reliability = transmit(symbols, torch.full((B,), 5.0), fading)
    assert [len(torch.unique(row)) > 1 for row in reliability] == [False, True, False, False]
    estimate.sum().backward()
    assert symbols.grad is not None
    assert bool(symbols.grad.isfinite().all())


def test_links_are_drawn_independently_with_the_stated_shares() -> None:
    snr_db, fading = LinkSampling().draw(20_000, np.random.default_rng(0))
    absent, noiseless = torch.isneginf(snr_db).any(1), torch.isposinf(snr_db).any(1)
    assert abs(float(absent.float().mean()) - 0.05) < 0.01
    assert abs(float(noiseless.float().mean()) - 0.13) < 0.01
    assert not bool(torch.isinf(snr_db).all(1).any())
    gap = snr_db[:, 1] - snr_db[:, 0]
    plain = torch.isfinite(gap) & (snr_db <= 14).all(1)
    assert abs(float(gap[plain].mean())) < 0.2
    assert abs(float((fading == Fading.FAST).float().mean()) - 0.15) < 0.01
    assert abs(float((fading == Fading.BLOCK).float().mean()) - 0.03) < 0.005
    # Independent uniform SNRs, 62 % of the pairs, lie at least 10 dB apart with probability (7/17)^2; "better" always.
    assert (
        abs(float((gap.abs() >= 10 - 1e-4)[torch.isfinite(gap)].sum()) / 20_000 - (0.62 * (7 / 17) ** 2 + 0.2)) < 0.015
    )
    assert float(gap[torch.isfinite(gap)].abs().max()) < 20.001
    assert bool((fading[:, 0] == fading[:, 1]).all())


def test_views_whose_neighbour_is_absent_can_meet_low_snrs_more_often() -> None:
    usual = LinkSampling(absent_other=0.5).draw(4000, np.random.default_rng(1))[0]
    skewed = LinkSampling(absent_other=0.5, absent_skew=2.0).draw(4000, np.random.default_rng(1))[0]
    alone = torch.isneginf(usual).any(1)
    assert torch.equal(skewed[~alone], usual[~alone])
    before, after = usual[alone].max(1).values, skewed[alone].max(1).values
    torch.testing.assert_close(after, -3 + 17 * ((before + 3) / 17) ** 2)
    with pytest.raises(ValueError, match="absent_skew is 0"):
        LinkSampling(absent_skew=0.0)
