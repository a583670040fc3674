"""What a codec's pictures look like during training: originals and reconstructions side by side, with their PSNR."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jscc.channel import Fading
from jscc.model.codec import JointCodec
from jscc.quality import psnr

LABEL_ROWS = 18
GAP = 4


@torch.inference_mode()
def save_preview(
    model: JointCodec, pairs_BV3HW: Tensor, path: Path, snrs_db: Sequence[float], count: int = 4, seed: int = 0
) -> None:
    """Write a .png: for `count` pairs spread over all of them, the left view as it was and decoded at each SNR.

    pairs  float [B, 2, 3, 128, 256] in [0, 1]; both links have the SNR, AWGN
    """
    chosen = np.linspace(0, len(pairs_BV3HW) - 1, min(count, len(pairs_BV3HW))).round().astype(int)
    pairs = pairs_BV3HW[torch.from_numpy(chosen)]
    columns = [[_panel(left, "original") for left in pairs[:, 0]]]
    for snr in snrs_db:
        generator = torch.Generator(pairs.device).manual_seed(seed)
        decoded = model(pairs, pairs.new_full((len(pairs), 2), snr), Fading.NONE, generator)[:, 0]
        quality = psnr(decoded, pairs[:, 0])
        columns.append([_panel(p, f"SNR {snr:g} dB: PSNR {q:.2f} dB") for p, q in zip(decoded, quality, strict=True)])
    grid = np.concatenate([np.concatenate(column, 0) for column in columns], 1)
    if not cv2.imwrite(str(path), cv2.cvtColor(grid, cv2.COLOR_RGB2BGR)):
        raise OSError(f"cannot write {path}")


def _panel(picture_3HW: Tensor, label: str) -> NDArray[np.uint8]:
    """A picture below its label, with a white border, uint8 RGB."""
    pixels = (picture_3HW.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    panel = np.full((pixels.shape[0] + LABEL_ROWS + GAP, pixels.shape[1] + GAP, 3), 255, np.uint8)
    panel[LABEL_ROWS : LABEL_ROWS + pixels.shape[0], : pixels.shape[1]] = pixels
    cv2.putText(panel, label, (2, LABEL_ROWS - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return panel
