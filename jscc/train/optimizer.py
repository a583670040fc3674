"""The optimisers: AdamW, and Muon for the convolutions with AdamW for the rest."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Muon(torch.optim.Optimizer):
    """Momentum whose direction is made orthogonal, for the weights of convolutions and linear maps.

    stacked  work on all matrices of one shape at once: few launches, which is what a GPU wants; equal up to rounding
    source   Jordan et al. 2024, https://kellerjordan.github.io/posts/muon; five Newton-Schulz steps in bfloat16
    """

    stacked = False

    def __init__(
        self, params: Iterable[nn.Parameter], lr: float, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        for group in self.param_groups:
            if self.stacked:
                self._step_stacked(group)
                continue
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
                direction = parameter.grad.lerp(state["momentum"], group["momentum"]).flatten(1)
                # Size 0.2 sqrt(max side) makes an element's typical step as large as AdamW's, so both share one
                # learning rate.
                step = orthogonal(direction) * (0.2 * max(direction.shape) ** 0.5)
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(step.reshape(parameter.shape), alpha=-group["lr"])

    def _step_stacked(self, group: dict[str, Any]) -> None:
        """The same with one Newton-Schulz iteration for each shape; the learning rate may be a tensor."""
        parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
        if not parameters:
            return
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter]["momentum"] = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in parameters]
        momenta = [self.state[parameter]["momentum"] for parameter in parameters]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        directions = [d.flatten(1) for d in torch._foreach_lerp(gradients, momenta, group["momentum"])]
        stacks: dict[tuple[int, int], list[int]] = {}
        for number, direction in enumerate(directions):
            stacks.setdefault((min(direction.shape), max(direction.shape)), []).append(number)
        torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
        for (_, longer), numbers in stacks.items():
            wide_GRC = torch.stack([_wide(directions[number]) for number in numbers])
            steps_GRC = orthogonal_stack(wide_GRC) * (0.2 * longer**0.5 * group["lr"])
            for number, step in zip(numbers, steps_GRC, strict=True):
                tall = directions[number].shape[0] > directions[number].shape[1]
                parameters[number].sub_((step.T if tall else step).reshape(parameters[number].shape))


_QUINTIC = 3.4445, -4.7750, 2.0315
"""Coefficients of x, x^3 and x^5 in one Newton-Schulz step: steep at 0, near 1 afterwards."""


def _wide(matrix: Tensor) -> Tensor:
    return matrix.T if matrix.shape[0] > matrix.shape[1] else matrix


def orthogonal(matrix: Tensor) -> Tensor:
    """About the nearest matrix with all singular values 1, [rows, columns], by a quintic Newton-Schulz iteration."""
    a, b, c = _QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    x: Tensor = (matrix.T if tall else matrix).bfloat16()
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.T if tall else x).to(matrix.dtype)


def orthogonal_stack(stack_GRC: Tensor) -> Tensor:
    """`orthogonal` of G matrices of one shape, rows R <= columns C: [G, R, C]."""
    a, b, c = _QUINTIC
    x_GRC: Tensor = stack_GRC.bfloat16()
    x_GRC = x_GRC / (x_GRC.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        gram_GRR = torch.bmm(x_GRC, x_GRC.mT)
        x_GRC = torch.baddbmm(x_GRC, torch.baddbmm(gram_GRR, gram_GRR, gram_GRR, beta=b, alpha=c), x_GRC, beta=a)
    return x_GRC.to(stack_GRC.dtype)


def prepare_for_device(optimisers: Sequence[torch.optim.Optimizer], lr: Tensor) -> None:
    """Let optimisers, fresh or restored, read their learning rate from `lr` on the device, and launch little."""
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = lr
            if isinstance(optimiser, torch.optim.AdamW):
                group.update(fused=True, foreach=None, capturable=lr.is_cuda)
        if isinstance(optimiser, Muon):
            optimiser.stacked = True
        for state in optimiser.state.values():
            if "step" in state:
                state["step"] = torch.as_tensor(state["step"], dtype=torch.float32).to(lr.device)


def plain_state(optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """The optimiser's state as if it had not been prepared for a device: what state.pt holds."""
    state = optimiser.state_dict()
    for group in state["param_groups"]:
        group["lr"] = float(group["lr"])
        if "fused" in group:
            group.update(fused=None, foreach=None, capturable=False)
    return state


def make_optimisers(model: nn.Module, name: str, lr: float, weight_decay: float) -> list[torch.optim.Optimizer]:
    """ "adamw" for everything, or "muon" for the weights of convolutions with both sides of at
    least 16 and AdamW for the rest (linear maps of a few conditions, tokens, biases).
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if name == "adamw":
        return [torch.optim.AdamW(parameters, lr, betas=(0.9, 0.99), weight_decay=weight_decay)]
    if name != "muon":
        raise ValueError(f"unknown optimiser {name!r}; allowed: adamw, muon")
    matrices = [p for p in parameters if p.ndim >= 3 and min(p.shape[0], p[0].numel()) >= 16]
    chosen = {id(parameter) for parameter in matrices}
    rest = [parameter for parameter in parameters if id(parameter) not in chosen]
    return [
        Muon(matrices, lr, weight_decay=weight_decay),
        torch.optim.AdamW(rest, lr, betas=(0.9, 0.99), weight_decay=weight_decay),
    ]
