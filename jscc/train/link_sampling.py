"""Which links a training step simulates: SNRs of both views, independent of each other, and how they fade."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from jscc.channel import Fading
from jscc.shares import check_shares
from wire import units


@dataclass(frozen=True, slots=True)
class LinkSampling:
    """Shares of special pairs. SNRs are uniform over the trained range, drawn for each view on its own."""

    better_other: float = 0.20
    """One view has an SNR 10 to 20 dB above the other's."""
    noiseless_other: float = 0.13
    absent_other: float = 0.05
    absent_skew: float = 1.0
    """Above 1, views whose neighbour is absent meet low SNRs more often, where that costs them most: over the trained
    range their SNR is a uniform number to this power. 1: as uniform as all others."""
    fast_fading: float = 0.15
    block_fading: float = 0.03

    def __post_init__(self) -> None:
        check_shares("draws", self, ("better_other", "noiseless_other", "absent_other"))
        check_shares("draws", self, ("fast_fading", "block_fading"))
        if not 0 < self.absent_skew < math.inf:
            raise ValueError(f"draws.absent_skew is {self.absent_skew}; it must be above 0, and finite")

    def draw(self, pairs: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """The links of one step.

        returns  (snr_db float32 [pairs, 2], with infinities; fading int64 [pairs, 2] of `Fading`, the same kind for
                 both views)
        """
        snr = rng.uniform(*units.TRAINED_SNR_DB, (pairs, 2))
        kind, other, lift = rng.random(pairs), rng.integers(0, 2, pairs), rng.uniform(10, 20, pairs)
        rows = np.arange(pairs)
        edges = np.cumsum((self.better_other, self.noiseless_other, self.absent_other))
        better, noiseless, absent = (
            kind < edges[0],
            (kind >= edges[0]) & (kind < edges[1]),
            (kind >= edges[1]) & (kind < edges[2]),
        )
        snr[rows[better], other[better]] = snr[rows[better], 1 - other[better]] + lift[better]
        low, high = units.TRAINED_SNR_DB
        snr[absent] = low + (high - low) * ((snr[absent] - low) / (high - low)) ** self.absent_skew
        snr[rows[noiseless], other[noiseless]] = units.NOISELESS
        snr[rows[absent], other[absent]] = units.ABSENT
        fade = rng.random(pairs)
        fading = np.where(fade < self.fast_fading, Fading.FAST, Fading.NONE)
        fading = np.where(
            (fade >= self.fast_fading) & (fade < self.fast_fading + self.block_fading), Fading.BLOCK, fading
        )
        fading_BV = np.repeat(fading[:, None], 2, 1)
        return torch.from_numpy(snr.astype(np.float32)), torch.from_numpy(fading_BV.astype(np.int64))
