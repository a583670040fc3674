"""The one place that knows how large a picture is and how many symbols carry it.

A picture is RGB, 3 x 128 x 256. The encoder halves it three times and keeps C* = 20 real
channels at 1/8 scale; two real channels make one complex channel use, so a picture costs
20 x 16 x 32 / 2 = 5120 complex symbols and the bandwidth ratio is R = k/n = 5120/98304 = 0.0521.
"""

from typing import Final

CHANNELS: Final = 3
HEIGHT: Final = 128
WIDTH: Final = 256

DOWNSCALING: Final = 8
LATENT_CHANNELS: Final = 20
LATENT_HEIGHT: Final = HEIGHT // DOWNSCALING
LATENT_WIDTH: Final = WIDTH // DOWNSCALING

SYMBOLS: Final = LATENT_CHANNELS * LATENT_HEIGHT * LATENT_WIDTH // 2
BANDWIDTH_RATIO: Final = SYMBOLS / (CHANNELS * HEIGHT * WIDTH)
