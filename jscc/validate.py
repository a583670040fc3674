"""How well a codec does on the pictures kept for choosing, and how much of it the neighbour gives."""

from collections.abc import Sequence

import torch
from torch import Tensor

from jscc.channel import Fading
from jscc.metrics import psnr
from jscc.models import JointCodec
from wire import units

NEIGHBOURS = ("true", "unrelated", "noiseless", "absent")
SNRS_DB = (-2.0, 4.0, 12.0)


@torch.inference_mode()
def neighbour_table(
    model: JointCodec, pairs_BV3HW: Tensor, snrs_db: Sequence[float] = SNRS_DB, seed: int = 0
) -> dict[str, float]:
    """Mean PSNR in dB over both views, for each SNR and four kinds of neighbour.

    "true"       both links have the SNR
    "unrelated"  the other view shows another scene
    "noiseless"  the other view's link adds no noise
    "absent"     the other view never came
    pairs    float [B, 2, 3, 128, 256], B >= 2; AWGN
    returns  {"true@-2": 21.3, ...}
    """
    table: dict[str, float] = {}
    for snr in snrs_db:
        for kind in NEIGHBOURS:
            values = [_one_side(model, pairs_BV3HW, snr, kind, view=view, seed=seed) for view in (0, 1)]
            table[f"{kind}@{snr:g}"] = float(torch.cat(values).mean())
    return table


def _one_side(model: JointCodec, pairs: Tensor, snr: float, kind: str, *, view: int, seed: int) -> Tensor:
    """PSNR [B] of one view when its neighbour is of a kind; the view's own noise is the same for every kind."""
    generator = torch.Generator(pairs.device).manual_seed(seed + view)
    other_db = {"noiseless": units.NOISELESS, "absent": units.ABSENT}.get(kind, snr)
    shown = pairs.clone()
    if kind == "unrelated":
        shown[:, 1 - view] = pairs[:, 1 - view].roll(len(pairs) // 2, 0)
    found = []
    for pair in torch.split(shown, 5):
        snr_db = pair.new_full((len(pair), 2), other_db)
        snr_db[:, view] = snr
        found.append(model(pair, snr_db, Fading.NONE, generator)[:, view])
    return psnr(torch.cat(found), pairs[:, view])
