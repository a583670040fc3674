"""SCAM, the SNR-aware cross attention module (paper, section 3): each position of a view attends to all of the other.

The decoder's other cross attention, along rows only, is in `jscc.model.epipolar`.
"""

import math
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jscc.model.conditioning import is_absent, is_noiseless
from jscc.model.layers import EPSILON
from wire import units

FIRST_DB: Final = round(units.TRAINED_SNR_DB[0])
LAST_DB: Final = round(units.TRAINED_SNR_DB[1])
SNR_TOKENS: Final = LAST_DB - FIRST_DB + 1
NOISELESS_TOKEN: Final = SNR_TOKENS
ABSENT_TOKEN: Final = SNR_TOKENS + 1
TOKENS: Final = SNR_TOKENS + 2

MOST_SCORES: Final = 2**21
"""Scores of one view that are held at once. All 513 x 513 of a picture of 128x256 are fewer: those are one piece."""
EXPORTED_PIECES: Final = 4
"""Pieces of each view's queries in an exported graph, whatever the size: a latent has an even number of rows and of
columns, so that they divide its positions."""


def token_index(snr_db_N: Tensor) -> Tensor:
    """Which quality token stands for an SNR.

    Token i covers -3 + i dB, half a dB to either side (the lower edge belongs to it); SNRs beyond the ends take the end
    tokens, and +inf and -inf have tokens of their own.

    snr_db_N  float [N], dB
    returns   int64 [N], 0 to TOKENS - 1
    source    paper, section 3
    """
    index = torch.floor(snr_db_N.clamp(FIRST_DB, LAST_DB) - FIRST_DB + 0.5).long()
    index = torch.where(is_noiseless(snr_db_N), NOISELESS_TOKEN, index)
    return torch.where(is_absent(snr_db_N), ABSENT_TOKEN, index)


def swap_views(x: Tensor) -> Tensor:
    """For each picture the other view of its pair.

    x        [2B, ...] in the order left, right, left, right...
    returns  [2B, ...] in the order right, left, right, left...
    """
    x_BV = x.reshape(-1, 2, *x.shape[1:])
    return torch.stack((x_BV[:, 1], x_BV[:, 0]), 1).reshape(x.shape)


class SCAM(nn.Module):
    """Recalibrates the features of one view by those of the other, weighted by the SNRs of both links.

    With phi a LayerNorm, x a view's sequence (the quality token of its own link, then its H W positions) and x' the
    other view's: Q = phi(W_q x), K = phi(W_k x'), V = phi(W_v x'), h1 = x + W_o softmax(Q K^T / sqrt(C)) V,
    h2 = h1 + MLP(phi(h1)). Linear maps are 1x1 convolutions: the same product, three times faster on a CPU. The scores
    Q K^T grow with the square of the picture, so queries of large ones take turns.

    channels    C
    positional  add positions to Q and K, so that a query can ask for a place and not only for an appearance
    x_NCHW      float [2B, C, H, W] in the order left, right, left, right...
    snr_db_N    float [2B], dB, of each picture's own link
    returns     float [2B, C, H, W]
    source      paper, section 3, equations (4) to (6). Two things are our reading: the softmax runs over the keys (the
                paper says "each column" of A = Q K^T, which would not make one query's weights sum to 1); V is the
                other view's. Positions are not in the paper.
    """

    def __init__(self, channels: int, positional: bool) -> None:
        super().__init__()
        self.channels = channels
        self.tokens = nn.Parameter(torch.randn(TOKENS, channels) * 0.5)
        self.norm = nn.LayerNorm(channels, EPSILON)  # phi, one for Q, K, V and the MLP
        self.query = nn.Conv1d(channels, channels, 1, bias=False)
        self.key = nn.Conv1d(channels, channels, 1, bias=False)
        self.value = nn.Conv1d(channels, channels, 1, bias=False)
        self.out = nn.Conv1d(channels, channels, 1, bias=False)
        self.widen = nn.Conv1d(channels, 4 * channels, 1)
        self.narrow = nn.Conv1d(4 * channels, channels, 1)
        self.position = nn.Parameter(torch.full((2,), 0.7)) if positional else None
        with torch.no_grad():  # equal maps: from the first step on, a position attends most to what looks like itself
            self.key.weight.copy_(self.query.weight)

    def forward(self, x_NCHW: Tensor, snr_db_N: Tensor) -> Tensor:
        rows, columns = x_NCHW.shape[-2:]
        token_NC1 = F.embedding(token_index(snr_db_N), self.tokens)[:, :, None]
        x_NCT = torch.cat((token_NC1.to(x_NCHW.dtype), x_NCHW.flatten(2)), 2)  # T = 1 + H W
        query, key, value = self._phi(self.query(x_NCT)), self._phi(self.key(x_NCT)), self._phi(self.value(x_NCT))
        if self.position is not None:
            place_CT = F.pad(positions(self.channels, rows, columns, x_NCHW.device).flatten(1), (1, 0)).to(query.dtype)
            query = query + self.position[0].to(query.dtype) * place_CT
            key = key + self.position[1].to(query.dtype) * place_CT
        if torch.compiler.is_exporting():
            x_NCT = x_NCHW.flatten(2)  # nobody needs what the quality token asks for
            mixed_NCT = exported_attention(query[:, :, 1:], key, value)
        else:
            mixed_NCT = cross_attention(query, swap_views(key), swap_views(value))
        h1_NCT = x_NCT + self.out(mixed_NCT)
        h2_NCT = h1_NCT + self.narrow(F.relu(self.widen(self._phi(h1_NCT))))
        if not torch.compiler.is_exporting():
            h2_NCT = h2_NCT[:, :, 1:]
        recalibrated: Tensor = h2_NCT.reshape(x_NCHW.shape)
        return recalibrated

    def _phi(self, x_NCT: Tensor) -> Tensor:
        normal: Tensor = self.norm(x_NCT.transpose(1, 2))
        return normal.transpose(1, 2)


def attend(query_NCQ: Tensor, key_NCT: Tensor, value_NCT: Tensor) -> Tensor:
    """Values, averaged for each query by softmax(Q K^T / sqrt(C)) over the keys.

    returns  float [N, C, Q]
    """
    scores_NQT = torch.matmul(query_NCQ.transpose(1, 2), key_NCT) * query_NCQ.shape[1] ** -0.5
    return torch.matmul(value_NCT, torch.softmax(scores_NQT, 2).transpose(1, 2))


def cross_attention(query_NCQ: Tensor, key_NCT: Tensor, value_NCT: Tensor, most: int = MOST_SCORES) -> Tensor:
    """`attend` in as many pieces as keep to `most` scores of a view at once; the same within rounding."""
    queries, keys = query_NCQ.shape[2], key_NCT.shape[2]
    if queries * keys <= most:
        return attend(query_NCQ, key_NCT, value_NCT)
    return torch.cat([attend(part, key_NCT, value_NCT) for part in torch.split(query_NCQ, max(1, most // keys), 2)], 2)


def exported_attention(query_NCQ: Tensor, key_NCT: Tensor, value_NCT: Tensor) -> Tensor:
    """`attend` to the other view, for a graph of any size: a fixed number of pieces, one view after the other.

    query_NCQ, key_NCT, value_NCT  of the views themselves, in the order left, right, left, right...; Q a multiple of
                                   `EXPORTED_PIECES`
    """
    query, key, value = (torch.unflatten(each, 0, (-1, 2)) for each in (query_NCQ, key_NCT, value_NCT))
    queries = torch.unflatten(query, 3, (EXPORTED_PIECES, -1))
    views = [
        torch.cat([attend(queries[:, v, :, i], key[:, 1 - v], value[:, 1 - v]) for i in range(EXPORTED_PIECES)], 2)
        for v in range(2)
    ]
    return torch.stack(views, 1).flatten(0, 1)


def positions(channels: int, rows: int, columns: int, device: torch.device) -> Tensor:
    """Sinusoidal position encodings in two dimensions: half of the channels for rows, half for columns.

    channels       C, a multiple of 4
    rows, columns  H and W
    returns        float [C, H, W] in [-1, 1], wavelengths 4 to 128 cells
    source         Vaswani et al. 2017, section 3.5, once for each dimension
    """
    quarter = channels // 4
    wavelength_Q = 4.0 * 32.0 ** (torch.arange(quarter, device=device) / max(quarter - 1, 1))
    row_QH = torch.arange(rows, device=device) * (2 * math.pi / wavelength_Q)[:, None]
    column_QW = torch.arange(columns, device=device) * (2 * math.pi / wavelength_Q)[:, None]
    row_QHW = row_QH[:, :, None].expand(-1, -1, columns)
    column_QHW = column_QW[:, None, :].expand(-1, rows, -1)
    return torch.cat((row_QHW.sin(), row_QHW.cos(), column_QHW.sin(), column_QHW.cos()), 0)
