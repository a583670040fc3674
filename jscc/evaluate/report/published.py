"""The published curves of DWSIC and DSIN, as reference lines: other pictures, so only their shape and distance compare.

Read off the figure of the repository ipc-lab/NDIC (figs/results.png), within 0.05 dB and 0.002. KITTI, 128x256, 790
pairs in the test split; MS-SSIM, window 7, is that of models that were trained for it.
"""

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np

from jscc.evaluate.coding.capacity import bits_per_pixel
from jscc.evaluate.systems.base import Channel

Quantity = Literal["psnr", "ms_ssim"]

POINTS: Final[dict[str, dict[Quantity, tuple[tuple[float, float], ...]]]] = {
    "dwsic-capacity": {
        "psnr": (
            (0.10, 23.56), (0.11, 23.83), (0.14, 24.43), (0.16, 24.80), (0.20, 25.53), (0.24, 26.05), (0.28, 26.52),
            (0.30, 26.76), (0.36, 27.36),
        ),
        "ms_ssim": ((0.10, 0.944), (0.16, 0.958), (0.20, 0.964), (0.28, 0.971), (0.30, 0.973)),
    },
    "dsin-capacity": {
        "psnr": (
            (0.10, 20.60), (0.11, 20.78), (0.14, 20.95), (0.16, 20.95), (0.20, 21.06), (0.24, 21.99), (0.28, 22.53),
            (0.30, 22.67), (0.36, 23.08),
        ),
        "ms_ssim": ((0.10, 0.917), (0.11, 0.919), (0.14, 0.924), (0.20, 0.931), (0.24, 0.935), (0.28, 0.937),
                    (0.30, 0.937)),
    },
}  # fmt: skip
"""By system and quantity: (bits per pixel of the transmitted view, value)."""

NOTE: Final = "Thin dashed lines: published curves, of other test pictures."


def curve(system: str, quantity: Quantity, channel: Channel, snrs: Sequence[float]) -> dict[float, float]:
    """The published value at the rate that capacity allows at each SNR, dB, as far as the published rates go.

    Interpolated linearly between points.
    """
    rates, values = zip(*POINTS[system][quantity], strict=True)
    allowed = {snr: bits_per_pixel(snr, channel) for snr in snrs}
    return {
        snr: float(np.interp(rate, rates, values)) for snr, rate in allowed.items() if rates[0] <= rate <= rates[-1]
    }
