"""JSCD, the joint decoder: the received symbols of both views -> both pictures, with one set of weights for both."""

import torch
from torch import Tensor, nn

from jscc.model.conditioning import BASELINE_CONDITIONS, JOINT_CONDITIONS, is_absent, link_conditions
from jscc.model.config import CodecConfig
from jscc.model.encoder import to_latent
from jscc.model.epipolar import EpipolarAttention
from jscc.model.interleaver import arrived
from jscc.model.layers import Blocks, ConvBlock, UpBlock, upscaling
from jscc.model.linear_path import LinearDecoder
from jscc.model.scam import SCAM, swap_views
from wire import geometry

LEFT, RIGHT = 1.0, -1.0


class Decoder(nn.Module):
    """The joint source-channel decoder g_phi of the paper: (s_left, s_right, SNRs) -> both pictures.

    The views are concatenated in the batch dimension; swapping them together with `sides` swaps the outputs exactly.

    config           widths and which modules there are
    symbols_BVK2     float [B, 2, K, 2] = (left and right, symbol as sent, I and Q), already MMSE-equalised
    reliability_BVK  float [B, 2, K] in [0, 1]: |h|^2 / (|h|^2 + N0) of each symbol; 1 noiseless, 0 absent
    snr_db_BV        float [B, 2], dB, mean Es/N0 of each link; +inf = noiseless, -inf = absent: its symbols are ignored
    size             (rows, columns) of the pictures, if not 128x256
    sides_V          float [2]: which camera stands in which slot, +1 left, -1 right
    returns          pictures float [B, 2, 3, H, W], not clamped
    source           paper, section 2, equations (1) and (2), and Fig. 1
    """

    sides: Tensor

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        wide, middle, narrow = config.decoder_widths
        kernel, latent = config.decoder_kernel, config.latent_channels
        known = JOINT_CONDITIONS if config.joint else BASELINE_CONDITIONS
        before, after, quarter1, quarter2, half = config.decoder_blocks
        side_plane = 1 if config.joint else 0
        self.register_buffer("sides", torch.tensor((LEFT, RIGHT)), persistent=False)  # there before a CUDA graph begins
        self.stem = ConvBlock(latent + latent // 2 + side_plane, wide, 3, known)
        self.at8_before = Blocks(before, wide, kernel, known)
        self.scam = SCAM(wide, config.scam_positional) if config.joint else None
        self.at8_after = Blocks(after, wide, kernel, known)
        self.up4 = UpBlock(wide, middle, kernel, known, config.upsampling)
        self.at4_before = Blocks(quarter1, middle, kernel, known)
        self.epipolar = (
            EpipolarAttention(middle, config.epipolar_heads, known) if config.joint and config.epipolar else None
        )
        self.at4_after = Blocks(quarter2, middle, kernel, known)
        self.up2 = UpBlock(middle, narrow, kernel, known, config.upsampling)
        self.at2 = Blocks(half, narrow, kernel, known)
        # The last layer, to RGB. Its name is in every file of weights and in their hash.
        self.paint = upscaling(narrow, geometry.CHANNELS, kernel, config.upsampling)
        self.linear = LinearDecoder(latent) if config.linear_path else None
        if self.linear is not None:  # start as the linear codec; the network learns what is missing
            for parameter in self.paint.parameters():
                nn.init.normal_(parameter, std=1e-3)

    def forward(
        self,
        symbols_BVK2: Tensor,
        reliability_BVK: Tensor,
        snr_db_BV: Tensor,
        size: tuple[int, int] = (geometry.HEIGHT, geometry.WIDTH),
        sides_V: Tensor | None = None,
    ) -> Tensor:
        sides_V = self.sides.to(snr_db_BV.dtype) if sides_V is None else sides_V
        rows, columns = size[0] // geometry.DOWNSCALING, size[1] // geometry.DOWNSCALING
        snr_N = views_to_batch(snr_db_BV)
        side_N = views_to_batch(sides_V.expand_as(snr_db_BV))
        absent_N = is_absent(snr_N)
        symbols_NK2, trust_NK = views_to_batch(symbols_BVK2), views_to_batch(reliability_BVK)
        channels = self.config.latent_channels
        if self.config.interleaver != "none":
            places = arrived(channels // 2, rows, columns, symbols_NK2.device)
            symbols_NK2, trust_NK = symbols_NK2.index_select(1, places), trust_NK.index_select(1, places)
        latent_NCHW = to_latent(symbols_NK2, channels, rows, columns)
        trust_NCHW = trust_NK.reshape(-1, channels // 2, rows, columns)
        # What an absent view brings is ignored, whatever the caller put there.
        latent_NCHW = torch.where(absent_N[:, None, None, None], 0.0, latent_NCHW)
        trust_NCHW = torch.where(absent_N[:, None, None, None], 0.0, trust_NCHW)

        known_NS = link_conditions(snr_N, swap_views(snr_N) if self.config.joint else None)
        planes = [latent_NCHW, trust_NCHW]
        if self.config.joint:
            planes.append(side_N[:, None, None, None].expand(-1, 1, rows, columns))
        x_NCHW = self.at8_before(self.stem(torch.cat(planes, 1), known_NS), known_NS)
        if self.scam is not None:
            x_NCHW = self.scam(x_NCHW, snr_N)
        x_NCHW = self.up4(self.at8_after(x_NCHW, known_NS), known_NS)
        x_NCHW = self.at4_before(x_NCHW, known_NS)
        if self.epipolar is not None:
            x_NCHW = self.epipolar(x_NCHW, known_NS, side_N, absent_N)
        x_NCHW = self.up2(self.at4_after(x_NCHW, known_NS), known_NS)
        picture_N3HW = self.paint(self.at2(x_NCHW, known_NS)).float()
        picture_N3HW = picture_N3HW + (self.linear(latent_NCHW, snr_N).float() if self.linear is not None else 0.5)
        return batch_to_views(picture_N3HW)


def views_to_batch(x_BV: Tensor) -> Tensor:
    """From [B, 2, ...] to [2B, ...], in the order left, right, left, right..."""
    return x_BV.reshape(-1, *x_BV.shape[2:])


def batch_to_views(x_N: Tensor) -> Tensor:
    """From [2B, ...] to [B, 2, ...], the inverse of `views_to_batch`."""
    return x_N.reshape(-1, 2, *x_N.shape[1:])
