import pytest

from jscc.evaluate.coding.capacity import bits_per_pixel, bits_per_symbol, budget_bytes


def test_budgets_are_those_of_the_conventions() -> None:
    assert [budget_bytes(snr, "awgn") for snr in range(-2, 13, 2)] == [451, 640, 876, 1159, 1482, 1836, 2214, 2607]


def test_a_picture_of_four_times_the_pixels_may_have_four_times_the_bytes() -> None:
    assert [budget_bytes(snr, "awgn", 4 * 5120) // 4 for snr in (-2, 12)] == [451, 2607]


def test_one_bit_per_symbol_at_zero_db_is_three_r_bits_per_pixel() -> None:
    assert bits_per_symbol(0.0, "awgn") == pytest.approx(1.0)
    assert bits_per_pixel(0.0, "awgn") == pytest.approx(3 * 5120 / 98304)


@pytest.mark.parametrize(
    ("snr_db", "closed_form"),
    [(-10.0, 0.132097967802), (0.0, 0.860347382271), (10.0, 2.906514808415), (30.0, 9.143619491037)],
)
def test_ergodic_capacity_is_the_closed_form(snr_db: float, closed_form: float) -> None:
    """exp(1/s) E1(1/s) / ln 2, from scipy.special.exp1."""
    assert bits_per_symbol(snr_db, "rayleigh") == pytest.approx(closed_form, abs=1e-9)


def test_fading_costs_capacity_at_every_snr() -> None:
    assert all(budget_bytes(snr, "rayleigh") < budget_bytes(snr, "awgn") for snr in range(-4, 20))
