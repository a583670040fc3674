import math

import pytest
import torch

from jscc.evaluate.links import noise_of, send
from wire.runtime.errors import UserError


def received(snr_left: float, snr_right: float, key: tuple[int, str, float], channel: str = "awgn") -> torch.Tensor:
    symbols = torch.ones(2, 5120, 2) * 0.5**0.5
    return send(symbols, (snr_left, snr_right), channel, noise_of(*key))[0]  # type: ignore[arg-type]


def test_noise_is_a_function_of_seed_pair_and_snr() -> None:
    once = received(3.0, 3.0, (0, "a", 3.0))
    assert torch.equal(once, received(3.0, 3.0, (0, "a", 3.0)))
    for other in ((1, "a", 3.0), (0, "b", 3.0), (0, "a", 4.0)):
        assert not torch.equal(once, received(3.0, 3.0, other))


def test_a_views_noise_does_not_depend_on_the_other_link() -> None:
    for channel in ("awgn", "rayleigh"):
        key = (0, "a", 3.0)
        alike = received(3.0, 3.0, key, channel)
        assert torch.equal(alike[0], received(3.0, 13.0, key, channel)[0])
        assert torch.equal(alike[1], received(float("inf"), 3.0, key, channel)[1])


def test_measured_snr_is_the_nominal_one() -> None:
    """5120 symbols: one sigma of the estimate is 0.06 dB. The MMSE estimate is divided by its gain first."""
    symbols = torch.ones(2, 5120, 2) * 0.5**0.5
    estimate, reliability = send(symbols, (0.0, 10.0), "awgn", noise_of(0, "a", 0.0))
    noise = estimate / reliability[..., None] - symbols
    snr_db = -10 * noise.square().sum(-1).mean(-1).log10()
    assert torch.allclose(snr_db, torch.tensor([0.0, 10.0]), atol=0.25)


@pytest.mark.parametrize(
    ("power", "refused"), [(0.5, False), (1.04, False), (1.06, True), (10.0, True), (math.nan, True)]
)
def test_a_view_of_too_much_power_is_refused(power: float, refused: bool) -> None:
    symbols = torch.randn(2, 512, 2, generator=torch.Generator().manual_seed(1))
    symbols /= symbols.square().sum(2).mean(1).sqrt()[:, None, None]
    symbols[1] *= power**0.5
    if refused:
        with pytest.raises(
            UserError, match=f"the symbols of a view have a mean power of {power:g}; scale each view to 1"
        ):
            send(symbols, (0.0, 0.0), "awgn", noise_of(0, "a", 0.0))
    else:
        send(symbols, (0.0, 0.0), "awgn", noise_of(0, "a", 0.0))
