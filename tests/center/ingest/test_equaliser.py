import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from center.ingest.equaliser import mmse, spread_gain
from wire.runtime.errors import FrameError
from wire.units import noise_variance

COUNT = 200_000
"""Symbols of a statistical test: the mean square of as many has a relative error of 1/sqrt(COUNT) = 0.2 %."""


def gaussian(rng: np.random.Generator, variance: float = 1.0) -> NDArray[np.complex64]:
    scale = np.sqrt(variance / 2)
    return (scale * (rng.standard_normal(COUNT) + 1j * rng.standard_normal(COUNT))).astype(np.complex64)


def mean_square(values: NDArray[np.complex64]) -> float:
    return float(np.mean(np.abs(values) ** 2))


def test_a_noiseless_link_is_left_as_it_is() -> None:
    sent = gaussian(np.random.default_rng(0))
    estimate, reliability = mmse(sent, None, 0.0)
    assert np.array_equal(estimate, sent)
    assert np.all(reliability == 1.0)


def test_a_noiseless_fade_is_undone() -> None:
    rng = np.random.default_rng(0)
    sent, gain = gaussian(rng), gaussian(rng)
    estimate, reliability = mmse(gain * sent, gain, 0.0)
    assert np.allclose(estimate, sent, atol=1e-3)
    assert np.allclose(reliability, 1.0)


@pytest.mark.parametrize("snr_db", [-2.0, 4.0, 12.0])
def test_on_awgn_the_error_is_what_theory_says(snr_db: float) -> None:
    """E|s_hat - s|^2 = N0 / (1 + N0) = 1 - rho."""
    rng, variance = np.random.default_rng(1), noise_variance(snr_db)
    sent = gaussian(rng)
    estimate, reliability = mmse(sent + gaussian(rng, variance), None, variance)
    assert reliability[0] == pytest.approx(1 / (1 + variance), rel=1e-6)
    assert mean_square(estimate - sent) == pytest.approx(1 - reliability[0], rel=0.01)


@pytest.mark.parametrize("snr_db", [0.0, 10.0])
def test_under_fading_the_error_is_one_minus_the_mean_reliability(snr_db: float) -> None:
    """E|s_hat - s|^2 = E[N0 / (|h|^2 + N0)]; the SNR of each estimate, rho / (1 - rho), is |h|^2 / N0."""
    rng, variance = np.random.default_rng(2), noise_variance(snr_db)
    sent, gain = gaussian(rng), gaussian(rng)
    estimate, reliability = mmse(gain * sent + gaussian(rng, variance), gain, variance)
    assert mean_square(estimate - sent) == pytest.approx(1 - float(reliability.mean()), rel=0.02)
    assert np.allclose(reliability / (1 - reliability), np.abs(gain) ** 2 / variance, rtol=1e-2)


def test_it_beats_dividing_by_the_gain() -> None:
    rng, variance = np.random.default_rng(3), noise_variance(0.0)
    sent, gain = gaussian(rng), gaussian(rng)
    received = gain * sent + gaussian(rng, variance)
    estimate, _ = mmse(received, gain, variance)
    assert mean_square(estimate - sent) < 0.5 * mean_square(received / gain - sent)


def test_a_symbol_of_which_nothing_is_known_is_zero() -> None:
    estimate, reliability = mmse(np.ones(2, np.complex64), np.array([0, 1], np.complex64), 0.0)
    assert estimate.tolist() == [0, 1]
    assert reliability.tolist() == [0, 1]


def test_a_gain_too_small_to_be_squared_does_not_overflow() -> None:
    estimate, reliability = mmse(np.ones(2, np.complex64), np.array([1e-20, 1], np.complex64), 0.0)
    assert estimate.tolist() == [0, 1]
    assert reliability.tolist() == [0, 1]


def test_the_results_stay_single_precision() -> None:
    ones = np.ones(4, np.complex64)
    for gain in (None, ones):
        estimate, reliability = mmse(ones, gain, 0.5)
        assert (estimate.dtype, reliability.dtype) == (np.complex64, np.float32)


def test_gains_are_repeated_over_their_coherence() -> None:
    gain = np.array([1, 2, 3], np.complex64)
    assert spread_gain(gain, 2, 5).tolist() == [1, 1, 2, 2, 3]
    assert spread_gain(gain, 1, 3).tolist() == [1, 2, 3]


@pytest.mark.parametrize(("count", "coherence"), [(2, 2), (4, 2), (5, 0)])
def test_gains_that_do_not_fit_are_refused(count: int, coherence: int) -> None:
    with pytest.raises(FrameError) as caught:
        spread_gain(np.ones(count, np.complex64), coherence, 5)
    assert caught.value.reason == "shape"


def test_a_coherence_beyond_the_frame_costs_no_memory() -> None:
    tracemalloc.start()
    spread = spread_gain(np.array([0.5j], np.complex64), 2**32 - 1, 5120)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert spread.shape == (5120,)
    assert np.all(spread == np.complex64(0.5j))
    assert peak < 1_000_000, "one gain for all symbols needs 41 kB"
