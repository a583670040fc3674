"""Row-wise cross attention: on rectified cameras a point lies in the same row of both views, further right in the left
view.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jscc.model.layers import ChannelNorm, RowLinear
from jscc.model.scam import swap_views

NEAREST = 24
"""Largest disparity with a bias of its own, cells of 4 pixels; the KITTI crop at 128x256 has up to about 18."""
BEHIND = 8
"""As many cells in the impossible direction: small negative disparities happen where a rig is not perfectly rectified.
"""
MASKED = -1e4


class EpipolarAttention(nn.Module):
    """Each place looks along its row of the other view, by likeness and by disparity, or at nothing.

    input    features float [2B, C, H, W] (left, right, left, right...), conditions [2B, S], side [2B] (+1 left, -1
             right), absent bool [2B]: which pictures never came (nobody looks at those)
    returns  float [2B, C, H, W]
    source   the epipolar restriction of ECSIC (2024) and iPASSR (2021); likeness is a scaled cosine, queries and keys
             start from one map, and a null key whose weight depends on both SNRs lets a place ignore the other view
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
        """[N, C, H, W] -> [N, rows, heads, channels per head, columns]: whole rows move, which is the cheap
        transposition.
        """
        batch, channels, rows, columns = x_NCHW.shape
        return x_NCHW.reshape(batch, self.heads, channels // self.heads, rows, columns).permute(0, 3, 1, 2, 4)

    def _bias(self, columns: int, side_N: Tensor) -> Tensor:
        """Score added for the disparity of each (query, key): [N, heads, columns, columns]."""
        place = torch.arange(columns, device=side_N.device)
        offset = place[:, None] - place[None, :]
        as_left, as_right = (self.disparity[:, (sign * offset).clamp(-BEHIND, NEAREST) + BEHIND] for sign in (1, -1))
        return torch.where((side_N > 0)[:, None, None, None], as_left[None], as_right[None])


def likely_disparities() -> Tensor:
    """Where training starts: 0...8 cells are likely, the rest fades. [BEHIND + 1 + NEAREST]."""
    disparity = torch.arange(-BEHIND, NEAREST + 1, dtype=torch.float32)
    behind = (-disparity).clamp_min(0) * 1.5
    beyond = (disparity - 8).clamp_min(0) * 0.3
    return -(behind + beyond)
