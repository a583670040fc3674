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
MOST_SCORES = 2**21
"""Scores of one view that are held at once, of all heads. Those of a picture of 128x256 are 524,288: one piece."""
EXPORTED_PIECES = 4
"""Pieces of each view's rows in an exported graph, whatever the size: the rows at 1/4 scale are a multiple of it."""


class EpipolarAttention(nn.Module):
    """Each position attends to the same row of the other view, by appearance and by disparity, or to a null key.

    The score of query i and key j of a row is t cos(q_i, k_j) + b(disparity of i and j), with a temperature t and a
    bias b learned for each head; the null key's score is learned as a function of both SNRs, and its weight lets a
    position ignore the other view. Rows do not need one another, so those of large pictures take turns.

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
        bias_NhWW, null_Nh = self._bias(columns, side_N), self.null(conditions_NS).float()
        if torch.compiler.is_exporting():
            seen, trust = self._exported(query, key, value, bias_NhWW, null_Nh, absent_N)
        else:
            other = swap_views(key), swap_views(value), bias_NhWW, null_Nh, swap_views(absent_N)
            seen, trust = self._look_across(query, *other)
        seen_NCHW = seen.permute(0, 2, 3, 1, 4).reshape(batch, channels, rows, columns)
        trust_NhHW = trust.permute(0, 2, 1, 3).to(seen_NCHW.dtype)
        fused: Tensor = self.fuse(torch.cat((x_NCHW.to(seen_NCHW.dtype), seen_NCHW, trust_NhHW), 1))
        return x_NCHW + fused

    def _look_across(
        self, query: Tensor, key: Tensor, value: Tensor, bias_NhWW: Tensor, null_Nh: Tensor, absent_N: Tensor
    ) -> tuple[Tensor, Tensor]:
        """`_attend` in as many pieces of rows as keep to `MOST_SCORES` scores of a view at once."""
        per_row = bias_NhWW[0].numel()
        if query.shape[1] * per_row <= MOST_SCORES:
            return self._attend(query, key, value, bias_NhWW, null_Nh, absent_N)
        parts = [torch.split(each, max(1, MOST_SCORES // per_row), 1) for each in (query, key, value)]
        found = [self._attend(q, k, v, bias_NhWW, null_Nh, absent_N) for q, k, v in zip(*parts, strict=True)]
        return torch.cat([seen for seen, _ in found], 1), torch.cat([trust for _, trust in found], 1)

    def _exported(
        self, query: Tensor, key: Tensor, value: Tensor, bias_NhWW: Tensor, null_Nh: Tensor, absent_N: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The same for a graph of any size, of keys that are not swapped: a fixed number of pieces, view after view."""
        query, key, value, bias, null, absent = (
            torch.unflatten(each, 0, (-1, 2)) for each in (query, key, value, bias_NhWW, null_Nh, absent_N)
        )
        query, key, value = (torch.unflatten(each, 2, (EXPORTED_PIECES, -1)) for each in (query, key, value))
        views = []
        for own, other in ((0, 1), (1, 0)):
            known = bias[:, own], null[:, own], absent[:, other]
            found = [
                self._attend(query[:, own, i], key[:, other, i], value[:, other, i], *known)
                for i in range(EXPORTED_PIECES)
            ]
            views.append((torch.cat([seen for seen, _ in found], 1), torch.cat([trust for _, trust in found], 1)))
        (seen_left, trust_left), (seen_right, trust_right) = views
        seen, trust = torch.stack((seen_left, seen_right), 1), torch.stack((trust_left, trust_right), 1)
        return seen.flatten(0, 1), trust.flatten(0, 1)

    def _attend(
        self, query: Tensor, key: Tensor, value: Tensor, bias_NhWW: Tensor, null_Nh: Tensor, absent_N: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What each position of some rows sees of the other view, and how much it trusts that.

        query, key, value  float [N, R, heads, C / heads, W], of R rows; key and value of the other view
        bias_NhWW          float [N, heads, W, W]; null_Nh: float [N, heads], the null key's score
        absent_N           bool [N], whether the other view never came
        returns            float [N, R, heads, C / heads, W] and [N, R, heads, W]
        """
        scores = torch.matmul(query.transpose(3, 4), key) * self.temperature.exp()[:, None, None]
        scores = scores + bias_NhWW[:, None]
        scores = torch.where(absent_N[:, None, None, None, None], MASKED, scores)
        null = null_Nh[:, None, :, None, None].expand(-1, scores.shape[1], -1, scores.shape[3], 1)
        weights = torch.softmax(torch.cat((null, scores), 4), 4)[..., 1:]  # [N, rows, heads, queries, keys]
        return torch.matmul(value, weights.to(value.dtype).transpose(3, 4)), weights.sum(4)

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
