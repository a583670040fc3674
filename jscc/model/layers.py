"""Layers of both networks: ChannelNorm, attention feature (AF), convolution, residual and upsampling blocks.

Shape legend for this package: B pictures (or pairs), V = 2 views, N = B x V pictures in one batch, C channels, H and W
rows and columns, K complex symbols, 2 = (I, Q) or (left, right), S conditions (what is known about the links).
"""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jscc.model.config import Upsampling

EPSILON: Final = 1e-3
"""ChannelNorm's epsilon, from the HiFiC code that the paper's authors use."""


class ChannelNorm(nn.Module):
    """Normalises each pixel over its channels: y = weight (x - mean) / sqrt(variance + epsilon) + bias.

    channels  C; `weight` and `bias` have one number for each
    x_NCHW    float [N, C, H, W]
    returns   float [N, C, H, W]
    source    Mentzer et al. 2020 (HiFiC), the paper's [13]
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        if torch.compiler.is_exporting():
            # onnxruntime averages over channels ten times faster by a 1x1 convolution than by ReduceMean or by a
            # LayerNormalization between two transpositions.
            channels = x_NCHW.shape[1]
            average = torch.full((1, channels, 1, 1), 1.0 / channels)
            centred = x_NCHW - F.conv2d(x_NCHW, average)
            scale = torch.rsqrt(F.conv2d(centred * centred, average) + EPSILON)
            return centred * scale * self.weight[:, None, None] + self.bias[:, None, None]
        y_NHWC = F.layer_norm(x_NCHW.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, EPSILON)
        return y_NHWC.permute(0, 3, 1, 2)


class RowLinear(nn.Linear):
    """A linear layer whose result for a row does not depend on the other rows of the batch, bit for bit.

    One matrix product for all rows would: its kernels treat the last rows of a block differently.

    input    float [N, Cin]
    returns  float [N, Cout] = W x + b for each row
    """

    def forward(self, input: Tensor) -> Tensor:
        weight_NOI = self.weight.expand(input.shape[0], -1, -1)
        return torch.bmm(weight_NOI, input.to(self.weight.dtype)[:, :, None])[:, :, 0] + self.bias


class AttentionFeature(nn.Module):
    """AF, which adapts features to the SNR: each channel is scaled by a gate in (0, 1).

    The gate is sigmoid(W2 ReLU(W1 [mean over pixels, conditions])).

    channels       C
    conditions     S, how many numbers say what is known of the links
    x_NCHW         float [N, C, H, W]
    conditions_NS  float [N, S], see `jscc.model.conditioning`
    returns        float [N, C, H, W]
    source         Xu et al. 2021 (ADJSCC), the paper's [10] and Fig. 1
    """

    def __init__(self, channels: int, conditions: int) -> None:
        super().__init__()
        hidden = max(channels // 8, 8)
        self.squeeze = RowLinear(channels + conditions, hidden)
        self.excite = RowLinear(hidden, channels)

    def forward(self, x_NCHW: Tensor, conditions_NS: Tensor) -> Tensor:
        pooled_NC = x_NCHW.mean((2, 3))
        hidden = F.relu(self.squeeze(torch.cat((pooled_NC, conditions_NS.to(pooled_NC.dtype)), 1)))
        gate_NC = torch.sigmoid(self.excite(hidden))
        return x_NCHW * gate_NC[:, :, None, None]


class ConvBlock(nn.Module):
    """Convolution, ChannelNorm, ReLU, attention feature: "ConvK-Cout" in the paper's Fig. 1.

    kernel         K, odd
    stride         2 halves rows and columns
    x_NCHW         float [N, Cin, H, W]
    conditions_NS  float [N, S]
    returns        float [N, Cout, H/stride, W/stride]
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, conditions: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
        self.norm = ChannelNorm(outputs)
        self.attention = AttentionFeature(outputs, conditions)

    def forward(self, x_NCHW: Tensor, conditions_NS: Tensor) -> Tensor:
        y_NCHW: Tensor = self.attention(F.relu(self.norm(self.conv(x_NCHW))), conditions_NS)
        return y_NCHW


class ResidualBlock(nn.Module):
    """A residual block, y = x + AF(conv(ReLU(ChannelNorm(conv(x))))): one normalisation for two convolutions.

    x_NCHW         float [N, C, H, W]
    conditions_NS  float [N, S]
    returns        float [N, C, H, W]
    """

    def __init__(self, channels: int, kernel: int, conditions: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, kernel, padding=kernel // 2)
        self.norm = ChannelNorm(channels)
        self.conv2 = nn.Conv2d(channels, channels, kernel, padding=kernel // 2)
        self.attention = AttentionFeature(channels, conditions)

    def forward(self, x_NCHW: Tensor, conditions_NS: Tensor) -> Tensor:
        y_NCHW: Tensor = self.conv2(F.relu(self.norm(self.conv1(x_NCHW))))
        added: Tensor = self.attention(y_NCHW, conditions_NS)
        return x_NCHW + added


class UpBlock(nn.Module):
    """Twice the rows and columns, then ChannelNorm, ReLU, attention feature.

    upsampling     "transposed" is the paper's; "pixel_shuffle" after an ordinary convolution is several times faster
                   on a CPU
    x_NCHW         float [N, Cin, H, W]
    conditions_NS  float [N, S]
    returns        float [N, Cout, 2H, 2W]
    source         paper, Fig. 1, the decoder's upscaling
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, conditions: int, upsampling: Upsampling) -> None:
        super().__init__()
        self.up = upscaling(inputs, outputs, kernel, upsampling)
        self.norm = ChannelNorm(outputs)
        self.attention = AttentionFeature(outputs, conditions)

    def forward(self, x_NCHW: Tensor, conditions_NS: Tensor) -> Tensor:
        y_NCHW: Tensor = self.attention(F.relu(self.norm(self.up(x_NCHW))), conditions_NS)
        return y_NCHW


def upscaling(inputs: int, outputs: int, kernel: int, upsampling: Upsampling) -> nn.Module:
    """A convolution that doubles rows and columns, without norm and activation.

    returns  a module, float [N, inputs, H, W] -> [N, outputs, 2H, 2W]
    """
    if upsampling == "transposed":
        return nn.ConvTranspose2d(inputs, outputs, kernel, 2, kernel // 2, output_padding=1)
    return nn.Sequential(nn.Conv2d(inputs, 4 * outputs, kernel, padding=kernel // 2), nn.PixelShuffle(2))


class Blocks(nn.ModuleList):
    """Residual blocks one after the other; float [N, C, H, W] -> [N, C, H, W]."""

    def __init__(self, count: int, channels: int, kernel: int, conditions: int) -> None:
        super().__init__(ResidualBlock(channels, kernel, conditions) for _ in range(count))

    def forward(self, x_NCHW: Tensor, conditions_NS: Tensor) -> Tensor:
        for block in self:
            x_NCHW = block(x_NCHW, conditions_NS)
        return x_NCHW
