"""What the networks are told about the links: SNRs in dB turned into a few well-scaled numbers.

SNR is data, one number per picture; +inf is the noiseless link and -inf the absent view (see `wire.units`).
"""

from typing import Final

import torch
from torch import Tensor

from wire import units

CLAMP_DB: Final = (-5.0, 20.0)
"""Beyond the trained range the networks see the nearest of these; noiseless and absent have flags of their own."""

ENCODER_CONDITIONS: Final = 1
BASELINE_CONDITIONS: Final = 3
JOINT_CONDITIONS: Final = 6


def scaled(snr_db: Tensor) -> Tensor:
    """SNRs as the networks are told them: 0 in the middle of the trained range, -1 and 1 at its ends.

    snr_db   float, any shape, dB; clamped to `CLAMP_DB`, infinities too
    returns  float of the same shape, about -1.2 to 1.7
    """
    low, high = units.TRAINED_SNR_DB
    return (snr_db.clamp(*CLAMP_DB) - (low + high) / 2) / ((high - low) / 2)


def is_noiseless(snr_db: Tensor) -> Tensor:
    """True where the link adds no noise, same shape as `snr_db`."""
    return snr_db == units.NOISELESS


def is_absent(snr_db: Tensor) -> Tensor:
    """True where the view never came, same shape as `snr_db`."""
    return snr_db == units.ABSENT


def link_conditions(own_db_N: Tensor, other_db_N: Tensor | None) -> Tensor:
    """What is known of the links: for the own one and then the other its scaled SNR, "noiseless" and "absent".

    own_db_N    float [N], dB
    other_db_N  float [N], dB; None for the baseline, which is not told of the other link
    returns     float [N, S], S = 6, or 3 for the baseline
    """
    links = [own_db_N] if other_db_N is None else [own_db_N, other_db_N]
    columns: list[Tensor] = []
    for snr_db_N in links:
        columns += [scaled(snr_db_N), is_noiseless(snr_db_N).to(snr_db_N.dtype), is_absent(snr_db_N).to(snr_db_N.dtype)]
    return torch.stack(columns, 1)
