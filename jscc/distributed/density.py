"""The fully factorised density of a latent: one learned cumulative distribution function for each channel."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS = (1, 3, 3, 1)
LEAST = 1e-9
"""The least probability of a bin, so that a gradient is left where the density has nearly none."""


class FactorisedDensity(nn.Module):
    """P(latent < t) of each channel as a small monotone network: positive weights, and gates that keep it monotone.

    channels  C of the latent
    source    Ballé, Minnen, Singh, Hwang, Johnston, "Variational image compression with a scale hyperprior", ICLR
              2018, appendix 6.1
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weights = nn.ParameterList(
            nn.Parameter(torch.zeros(channels, after, before)) for before, after in pairwise(WIDTHS)
        )
        self.biases = nn.ParameterList(nn.Parameter(torch.rand(channels, width, 1) - 0.5) for width in WIDTHS[1:])
        self.gates = nn.ParameterList(nn.Parameter(torch.zeros(channels, width, 1)) for width in WIDTHS[1:-1])
        self.begin(torch.ones(channels))

    @torch.no_grad()
    def begin(self, scales_C: Tensor) -> None:
        """Begin near logistic densities of these scales, about 0.55 of a standard deviation each."""
        slope_C = scales_C ** (-1 / len(self.weights))
        for weight in self.weights:
            weight.copy_((slope_C / weight.shape[1]).expm1().log()[:, None, None].expand_as(weight))

    def fit(self, values_CN: Tensor, widths_C: Tensor, steps: int = 400) -> None:
        """Fit to values of the latent, counted in bins of some widths: saves a training its first hundreds of steps.

        values  float [C, N]; widths: float [C]
        """
        frozen = [parameter for parameter in self.parameters() if not parameter.requires_grad]
        self.requires_grad_(True)
        optimiser = torch.optim.Adam(self.parameters(), 0.03)
        generator = torch.Generator().manual_seed(0)
        for step in range(steps):
            for group in optimiser.param_groups:
                group["lr"] = 0.03 * (1 - step / steps)
            chosen = torch.randint(values_CN.shape[1], (512,), generator=generator)
            noise = torch.rand(len(widths_C), 512, generator=generator) - 0.5
            optimiser.zero_grad()
            values = values_CN[:, chosen] + noise * widths_C[:, None]
            (-self.probability(values, widths_C[:, None]).log().mean()).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        for parameter in frozen:
            parameter.requires_grad_(False)

    def logits(self, points_CN: Tensor) -> Tensor:
        """The logit of the cumulative distribution function, [C, N] -> [C, N]; rises along N where the points do."""
        x_CWN = points_CN[:, None]
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x_CWN = F.softplus(weight) @ x_CWN + bias
            if index < len(self.gates):
                x_CWN = x_CWN + torch.tanh(self.gates[index]) * torch.tanh(x_CWN)
        return x_CWN[:, 0]

    def probability(self, centres_CN: Tensor, width_CN: Tensor) -> Tensor:
        """Probability of the bins `centres` +- `width` / 2, [C, N]; the width may have one column for all."""
        upper, lower = self.logits(centres_CN + width_CN / 2), self.logits(centres_CN - width_CN / 2)
        # In the upper tail both sigmoids are near 1 and their difference would vanish in rounding.
        sign = -(upper + lower).sign().detach()
        return (torch.sigmoid(sign * upper) - torch.sigmoid(sign * lower)).abs().clamp_min(LEAST)
