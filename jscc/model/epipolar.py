"""Epipolar attention: cross attention along rows.

On rectified cameras the epipolar line of a point is its row: what stands in a row of one view stands in the same row of
the other, further right in the left view.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jscc.model.layers import ChannelNorm, RowLinear
from jscc.model.scam import swap_views

NEAREST = 24
"""Largest disparity with a bias of its own, cells of 4 pixels; the KITTI crop at 128x256 has up to about 18."""
BEHIND = 8
"""The same in the impossible direction: a rig that is not perfectly rectified has small negative disparities."""
MASKED = -1e4


class EpipolarAttention(nn.Module):
    """Each position attends to the same row of the other view, by appearance and by disparity, or to a null key.

    The score of query i and key j of a row is t cos(q_i, k_j) + b(disparity of i and j), with a temperature t and a
    bias b learned for each head; the null key's score is learned as a function of both SNRs, and its weight lets a
    position ignore the other view.

    channels       C
    heads          of C / heads channels each
    conditions     S
    x_NCHW         float [2B, C, H, W] in the order left, right, left, right...
    conditions_NS  float [2B, S], what is known of both links
    side_N         float [2B], +1 left, -1 right
    absent_N       bool [2B], which pictures never came: nothing attends to those
    returns        float [2B, C, H, W]
    source         not in the paper; the epipolar restriction is that of ECSIC (2024) and iPASSR (2021)
    """

    def __init__(self, channels: int, heads: int, conditions: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = ChannelNorm(channels)
        self.query = nn.Conv2d(channels, channels, 1)
        self.key = nn.Conv2d(channels, channels, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.temperature = nn.Parameter(torch.full((heads,), 2.3))  # log; exp(2.3) = 10
        self.null = RowLinear(conditions, heads)
        self.disparity = nn.Parameter(likely_disparities().repeat(heads, 1))
        self.fuse = nn.Conv2d(2 * channels + heads, channels, 1)
        with torch.no_grad():
            self.key.weight.copy_(self.query.weight)
            nn.init.zeros_(self.key.bias)  # type: ignore[arg-type]
            nn.init.zeros_(self.query.bias)  # type: ignore[arg-type]
            self.null.bias.fill_(2.0)

    def forward(self, x_NCHW: Tensor, conditions_NS: Tensor, side_N: Tensor, absent_N: Tensor) -> Tensor:
        batch, channels, rows, columns = x_NCHW.shape
        normal = self.norm(x_NCHW)
        query, key, value = (self._by_row(conv(normal)) for conv in (self.query, self.key, self.value))
        query, key = F.normalize(query.float(), dim=3, eps=1e-4), F.normalize(key.float(), dim=3, eps=1e-4)
        scores = torch.matmul(query.transpose(3, 4), swap_views(key)) * self.temperature.exp()[:, None, None]
        scores = scores + self._bias(columns, side_N)[:, None]
        scores = torch.where(swap_views(absent_N)[:, None, None, None, None], MASKED, scores)
        null = self.null(conditions_NS).float()[:, None, :, None, None].expand(-1, rows, -1, columns, 1)
        weights = torch.softmax(torch.cat((null, scores), 4), 4)[..., 1:]  # [N, rows, heads, queries, keys]
        seen = torch.matmul(swap_views(value), weights.to(value.dtype).transpose(3, 4))
        seen_NCHW = seen.permute(0, 2, 3, 1, 4).reshape(batch, channels, rows, columns)
        trust_NhHW = weights.sum(4).permute(0, 2, 1, 3).to(seen_NCHW.dtype)
        fused: Tensor = self.fuse(torch.cat((x_NCHW.to(seen_NCHW.dtype), seen_NCHW, trust_NhHW), 1))
        return x_NCHW + fused

    def _by_row(self, x_NCHW: Tensor) -> Tensor:
        """From [N, C, H, W] to [N, H, heads, C / heads, W]: whole rows move, which is the cheap transposition."""
        batch, channels, rows, columns = x_NCHW.shape
        return x_NCHW.reshape(batch, self.heads, channels // self.heads, rows, columns).permute(0, 3, 1, 2, 4)

    def _bias(self, columns: int, side_N: Tensor) -> Tensor:
        """The bias b of each query and key, by their disparity: float [N, heads, columns, columns]."""
        place = torch.arange(columns, device=side_N.device)
        offset = place[:, None] - place[None, :]
        as_left, as_right = (self.disparity[:, (sign * offset).clamp(-BEHIND, NEAREST) + BEHIND] for sign in (1, -1))
        return torch.where((side_N > 0)[:, None, None, None], as_left[None], as_right[None])


def likely_disparities() -> Tensor:
    """The bias b at the start of training: 0 for disparities of 0 to 8 cells, falling off beyond.

    returns  float [BEHIND + 1 + NEAREST], from -BEHIND to NEAREST cells
    """
    disparity = torch.arange(-BEHIND, NEAREST + 1, dtype=torch.float32)
    behind = (-disparity).clamp_min(0) * 1.5
    beyond = (disparity - 8).clamp_min(0) * 0.3
    return -(behind + beyond)
