"""How well a codec does on the pictures kept for choosing, and how much of it the neighbour gives."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jscc.channel import Fading
from jscc.data.pairs import read_cropped
from jscc.model.codec import JointCodec
from jscc.quality import has_ms_ssim, ms_ssim, psnr
from wire import units

NEIGHBOURS = ("true", "better", "noiseless", "unrelated", "absent")
SNRS_DB = (-2.0, 4.0, 12.0)
BETTER_DB = 10.0


def read_validation(folder: Path) -> Tensor:
    """The pairs of a folder with left/ and right/, float [B, 2, 3, 128, 256] in [0, 1].

    Of larger pictures the centre, cut and shrunk as by the bench and the edges.

    raises  FileNotFoundError; ValueError if there are fewer than two pairs; what `read_cropped` does
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"--val: there is no folder {folder}")
    return to_validation(list(read_cropped(folder, "validation").values()), str(folder))


def to_validation(pairs: Sequence[NDArray[np.uint8]], where: str) -> Tensor:
    """Pairs uint8 [2, 3, 128, 256] as float [B, 2, 3, 128, 256] in [0, 1]; ValueError if `where` has too few."""
    if len(pairs) < 2:
        raise ValueError(f"{where}: {len(pairs)} pair; validation needs at least 2, to show an unrelated neighbour")
    return torch.from_numpy(np.stack(pairs)).float() / 255


@torch.inference_mode()
def neighbour_table(
    model: JointCodec, pairs_BV3HW: Tensor, snrs_db: Sequence[float] = SNRS_DB, seed: int = 0
) -> dict[str, float]:
    """Mean PSNR in dB over both views, for each SNR and kind of neighbour.

    "true"       both links have the SNR
    "better"     the other view's link has 10 dB more
    "noiseless"  the other view's link adds no noise
    "unrelated"  the other view shows another scene
    "absent"     the other view never came
    pairs    float [B, 2, 3, 128, 256], B >= 2; AWGN
    returns  {"true@-2": 21.3, ...}
    """
    table: dict[str, float] = {}
    for snr in snrs_db:
        for kind in NEIGHBOURS:
            if kind == "true" or model.config.joint:  # NEIGHBOURS begins with it; a baseline does not care
                values = [_one_side(model, pairs_BV3HW, snr, kind, view=view, seed=seed) for view in (0, 1)]
                mean = float(torch.cat(values).mean())
            table[f"{kind}@{snr:g}"] = mean
    return table


@torch.inference_mode()
def ms_ssim_table(model: JointCodec, pairs_BV3HW: Tensor, snrs_db: Sequence[float], seed: int = 0) -> dict[str, float]:
    """Mean MS-SSIM over both views for each SNR of both links: {"-2": 0.91, ...}. Pairs float [B, 2, 3, 128, 256].

    Empty where its library is missing.
    """
    table: dict[str, float] = {}
    for snr in snrs_db if has_ms_ssim() else ():
        generator = torch.Generator(pairs_BV3HW.device).manual_seed(seed)
        found = [
            ms_ssim(
                model(pair, pair.new_full((len(pair), 2), snr), Fading.NONE, generator).flatten(0, 1),
                pair.flatten(0, 1),
            )
            for pair in torch.split(pairs_BV3HW, 5)
        ]
        table[f"{snr:g}"] = float(torch.cat(found).mean())
    return table


def as_text(table: Mapping[str, float]) -> str:
    """The table in lines to read: a row for each kind of neighbour, a column for each SNR."""
    snrs = list(dict.fromkeys(key.split("@")[1] for key in table))
    lines = ["    neighbour " + "".join(f"{snr + ' dB':>9}" for snr in snrs)]
    lines += [f"    {kind:<10}" + "".join(f"{table[f'{kind}@{snr}']:9.2f}" for snr in snrs) for kind in NEIGHBOURS]
    return "\n".join(lines)


def _one_side(model: JointCodec, pairs: Tensor, snr: float, kind: str, *, view: int, seed: int) -> Tensor:
    """PSNR [B] of one view when its neighbour is of a kind; the view's own noise is the same for every kind."""
    generator = torch.Generator(pairs.device).manual_seed(seed + view)
    other_db = {"better": snr + BETTER_DB, "noiseless": units.NOISELESS, "absent": units.ABSENT}.get(kind, snr)
    shown = pairs.clone()
    if kind == "unrelated":
        shown[:, 1 - view] = pairs[:, 1 - view].roll(len(pairs) // 2, 0)
    found = []
    for pair in torch.split(shown, 5):
        snr_db = pair.new_full((len(pair), 2), other_db)
        snr_db[:, view] = snr
        found.append(model(pair, snr_db, Fading.NONE, generator)[:, view])
    return psnr(torch.cat(found), pairs[:, view])
