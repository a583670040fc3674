"""Muon."""

import pytest
import torch

from jscc.train.optimizer import make_optimisers, orthogonal


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
