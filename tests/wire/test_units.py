import numpy as np
import pytest

from wire import geometry, units


def test_a_picture_costs_5120_symbols_and_the_bandwidth_ratio_is_that_of_the_paper() -> None:
    assert geometry.SYMBOLS == 5120
    assert pytest.approx(0.0521, abs=5e-5) == geometry.BANDWIDTH_RATIO


@pytest.mark.parametrize(("snr_db", "variance"), [(0.0, 1.0), (10.0, 0.1), (-10.0, 10.0), (float("inf"), 0.0)])
def test_noise_variance_is_of_the_whole_complex_symbol(snr_db: float, variance: float) -> None:
    assert units.noise_variance(snr_db) == pytest.approx(variance)


def test_an_absent_view_is_all_noise() -> None:
    assert units.noise_variance(units.ABSENT) == float("inf")
    assert units.snr_db(0.0, 1.0) == units.ABSENT
    assert units.snr_db(1.0, 0.0) == units.NOISELESS


def test_snr_and_noise_variance_are_inverse() -> None:
    assert units.snr_db(units.POWER, units.noise_variance(7.3)) == pytest.approx(7.3)


def test_normalised_symbols_have_unit_power() -> None:
    rng = np.random.default_rng(1)
    symbols = (3 * rng.standard_normal(5120) + 1j * rng.standard_normal(5120)).astype(np.complex64)
    assert units.mean_power(units.normalise_power(symbols)) == pytest.approx(1.0, abs=1e-6)
    assert not units.normalise_power(np.zeros(4, np.complex64)).any()
