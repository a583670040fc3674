"""Published curves at the rates that capacity allows."""

import pytest

from jscc.evaluate.report.published import POINTS, curve

SNRS = (-2.0, 0.0, 2.0, 4.0, 6.0, 12.0)


def test_psnr_at_the_budgets() -> None:
    """0.1103 bits per pixel at -2 dB lie just above the point at 0.11; 0.15625 at 0 dB between 0.14 and 0.16."""
    found = curve("dwsic-capacity", "psnr", "awgn", SNRS)
    assert found[-2.0] == pytest.approx(23.83, abs=0.02)
    assert found[0.0] == pytest.approx(24.43 + (24.80 - 24.43) * (0.15625 - 0.14) / 0.02)
    assert list(found) == [-2.0, 0.0, 2.0, 4.0]  # 0.3619 at 6 dB is more than was published


def test_points_rise() -> None:
    for quantities in POINTS.values():
        for points in quantities.values():
            assert list(points) == sorted(points)
            values = [value for _, value in points]
            assert values == sorted(values)
