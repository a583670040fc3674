"""The density is one, the bits are those of the symbols, and rate rises with the level."""

import torch

from jscc.distributed.bottleneck import Bottleneck
from jscc.distributed.density import FactorisedDensity

LAMBDAS = (1e-4, 1e-3, 1e-2)


def test_the_bins_of_a_density_add_up_to_one_whatever_their_width() -> None:
    torch.manual_seed(0)
    density = FactorisedDensity(3)
    density.begin(torch.tensor([0.2, 1.0, 5.0]))
    with torch.no_grad():
        for gate in density.gates:
            gate.normal_()
    for width in (0.5, 2.0):
        centres = torch.arange(-400, 401)[None].float() * width
        total = density.probability(centres.expand(3, -1), torch.full((3, 1), width)).sum(1)
        torch.testing.assert_close(total, torch.ones(3), rtol=1e-3, atol=1e-3)


def test_it_begins_near_a_logistic_density_of_the_scale() -> None:
    density = FactorisedDensity(2)
    with torch.no_grad():
        for bias in density.biases:
            bias.zero_()
    density.begin(torch.tensor([0.5, 3.0]))
    points = torch.tensor([[0.5, 1.0], [3.0, 6.0]])
    torch.testing.assert_close(density.logits(points), torch.tensor([[1.0, 2.0], [1.0, 2.0]]), rtol=1e-4, atol=1e-4)


def test_fitting_finds_a_density_that_costs_less() -> None:
    torch.manual_seed(0)
    density, values = FactorisedDensity(2), torch.randn(2, 4000) * torch.tensor([[0.3], [6.0]])
    widths = torch.ones(2)

    def cost() -> float:
        return float(-density.probability(values, widths[:, None]).detach().log2().mean())

    before = cost()
    density.fit(values, widths, steps=150)
    assert cost() < before - 0.2


def test_a_higher_level_spends_more_bits_on_a_nearer_latent() -> None:
    torch.manual_seed(0)
    bottleneck, latent = Bottleneck(4, LAMBDAS), torch.randn(1, 4, 8, 16)
    found = [bottleneck(latent, torch.tensor([level])) for level in (0.0, 0.5, 1.0, 2.0)]
    bits = [float(b.detach()) for _, b in found]
    errors = [float((restored - latent).detach().square().mean()) for restored, _ in found]
    assert bits == sorted(bits)
    assert errors == sorted(errors, reverse=True)


def test_what_is_restored_is_symbols_times_steps_and_gradients_pass() -> None:
    bottleneck, latent = Bottleneck(4, LAMBDAS), torch.randn(2, 4, 2, 2, requires_grad=True)
    level = torch.tensor([0.0, 1.5])
    restored, bits = bottleneck(latent, level, torch.Generator().manual_seed(0))
    symbols = bottleneck.quantise(latent, level)
    assert torch.equal(symbols, symbols.round())
    torch.testing.assert_close(restored, bottleneck.restore(symbols, level))
    (restored.sum() + bits.sum()).backward()
    assert latent.grad is not None
    assert bool((latent.grad != 0).all())
    assert bottleneck.log_steps.grad is not None
    assert bool((bottleneck.log_steps.grad[1:] != 0).all())
