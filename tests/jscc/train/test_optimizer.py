"""Muon."""

import pytest
import torch

from jscc.train.optimizer import Muon, make_optimisers, orthogonal, orthogonal_stack, prepare_for_device


def test_muon_steps_are_nearly_orthogonal_and_share_work_with_adamw() -> None:
    torch.manual_seed(0)
    singular = torch.linalg.svdvals(orthogonal(torch.randn(24, 40)).float())
    assert float(singular.min()) > 0.5
    assert float(singular.max()) < 1.4
    model = torch.nn.Sequential(torch.nn.Conv2d(16, 32, 3), torch.nn.Conv2d(32, 4, 3))
    muon, adamw = make_optimisers(model, "muon", 1e-3, 0.0)
    assert [p.shape[0] for p in muon.param_groups[0]["params"]] == [32]
    assert len(adamw.param_groups[0]["params"]) == 3
    with pytest.raises(ValueError, match="allowed: adamw, muon"):
        make_optimisers(model, "sgd", 1e-3, 0.0)


def test_stacked_muon_steps_like_one_matrix_at_a_time() -> None:
    """Up to bfloat16: the products are summed in another order."""
    torch.manual_seed(0)
    shapes = [(32, 16, 3, 3), (32, 16, 3, 3), (64, 16, 1, 1), (16, 64, 1, 1), (48, 24, 5, 5)]
    start = [torch.randn(shape) * 0.1 for shape in shapes]
    gradients = [[torch.randn(shape) for shape in shapes] for _ in range(3)]
    results = []
    for stacked in (False, True):
        parameters = [torch.nn.Parameter(tensor.clone().to(memory_format=torch.channels_last)) for tensor in start]
        muon = Muon(parameters, 1e-2, weight_decay=0.1)
        if stacked:
            prepare_for_device([muon], torch.tensor(1e-2))
        for step in gradients:
            for parameter, gradient in zip(parameters, step, strict=True):
                parameter.grad = gradient.clone()
            muon.step()
        results.append(parameters)
    for before, one, many in zip(start, *results, strict=True):
        moved = float((one - before).detach().norm())
        assert float((one - many).detach().norm()) < 0.05 * moved
        assert moved > 0.02 * float(before.norm())
    stack = torch.randn(3, 24, 40)
    for matrix, found in zip(stack, orthogonal_stack(stack), strict=True):
        assert torch.allclose(orthogonal(matrix), found, atol=0.05)
