"""JSCE, the encoder: a picture -> complex symbols of unit power, knowing its own link's SNR and no other view."""

import torch
from torch import Tensor, nn

from jscc.model.conditioning import ENCODER_CONDITIONS, scaled
from jscc.model.config import CodecConfig
from jscc.model.interleaver import sent
from jscc.model.layers import Blocks, ConvBlock
from jscc.model.linear_path import LinearEncoder, SnrGain
from wire import geometry, units


class Encoder(nn.Module):
    """The joint source-channel encoder f_theta of the paper: (picture, SNR) -> symbols.

    config        widths and whether there is a linear path
    picture_B3HW  float [B, 3, H, W] in [0, 1], H and W multiples of 8
    snr_db_B      float [B], dB, mean Es/N0 of the own link; +inf allowed
    returns       symbols float [B, K, 2] = (I, Q), mean I^2 + Q^2 = 1 **per picture**; K = 10 x H/8 x W/8, as they
                  are sent: row-major over (latent channel pair, row, column), then in the order of the config's
                  `interleaver`; latent channels 2c and 2c + 1 at a cell are I and Q of one symbol
    source        paper, section 2 and Fig. 1
    """

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.interleaver = config.interleaver
        widths, latent = config.encoder_widths, config.latent_channels
        self.downs = nn.ModuleList()
        self.blocks = nn.ModuleList()
        previous = geometry.CHANNELS
        for width, kernel, count in zip(widths, config.encoder_kernels, config.encoder_blocks, strict=True):
            self.downs.append(ConvBlock(previous, width, kernel, ENCODER_CONDITIONS, stride=2))
            self.blocks.append(Blocks(count, width, config.decoder_kernel, ENCODER_CONDITIONS))
            previous = width
        self.compress = nn.Conv2d(previous, latent, 3, padding=1)
        self.linear = LinearEncoder(latent) if config.linear_path else None
        self.gain = SnrGain(latent)
        if self.linear is not None:
            nn.init.normal_(self.compress.weight, std=1e-3)

    def forward(self, picture_B3HW: Tensor, snr_db_B: Tensor) -> Tensor:
        conditions_B1 = scaled(snr_db_B)[:, None]
        x_BCHW = picture_B3HW - 0.5
        for down, blocks in zip(self.downs, self.blocks, strict=True):
            x_BCHW = blocks(down(x_BCHW, conditions_B1), conditions_B1)
        latent_BCHW: Tensor = self.compress(x_BCHW)
        if self.linear is not None:
            latent_BCHW = latent_BCHW + self.linear(picture_B3HW)
        weighted_BCHW: Tensor = self.gain(latent_BCHW, snr_db_B)
        symbols_BK2 = to_symbols(weighted_BCHW.float())
        if self.interleaver == "none":
            return symbols_BK2
        _, channels, rows, columns = weighted_BCHW.shape
        return symbols_BK2.index_select(1, sent(channels // 2, rows, columns, symbols_BK2.device))


def to_symbols(latent_BCHW: Tensor) -> Tensor:
    """Pairs of latent channels as complex symbols, scaled to unit mean power per picture: s = z / sqrt(mean |z|^2).

    latent_BCHW  float [B, C, H, W], C even
    returns      float [B, C H W / 2, 2] = (I, Q)
    source       paper, section 2, the power constraint
    """
    batch, channels, rows, columns = latent_BCHW.shape
    power_B = latent_BCHW.square().mean((1, 2, 3)) * 2  # per complex symbol: two real channels
    scale_B = torch.rsqrt(power_B + 1e-12) * units.POWER**0.5
    scaled_BCHW = latent_BCHW * scale_B[:, None, None, None]
    pairs: Tensor = scaled_BCHW.reshape(batch, channels // 2, 2, rows * columns).transpose(2, 3)
    return pairs.reshape(batch, -1, 2)


def to_latent(symbols_BK2: Tensor, channels: int, rows: int, columns: int) -> Tensor:
    """The inverse arrangement of `to_symbols`, without the scale.

    symbols_BK2  float [B, C H W / 2, 2]
    returns      float [B, C, H, W]
    """
    pairs = symbols_BK2.reshape(-1, channels // 2, rows * columns, 2).transpose(2, 3)
    return pairs.reshape(-1, channels, rows, columns)
