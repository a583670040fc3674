"""Experimental parts: other kinds of cross attention and of encoders, put into a model that has been built.

They live here and not in `CodecConfig`, because the product has no use for them.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jscc.model.codec import JointCodec
from jscc.model.conditioning import JOINT_CONDITIONS, is_absent, link_conditions
from jscc.model.decoder import LEFT, RIGHT
from jscc.model.encoder import Encoder
from jscc.model.epipolar import EpipolarAttention
from jscc.model.layers import ChannelNorm
from jscc.model.scam import SCAM, swap_views

WIDE_KERNEL = 13
"""Cells at 1/4 scale: 6 to either side, which is 24 pixels."""


class EpipolarAtEighth(nn.Module):
    """SCAM, then epipolar attention at 1/8 scale; stands where `SCAM` stands: same input, same output."""

    def __init__(self, scam: SCAM, channels: int, heads: int) -> None:
        super().__init__()
        self.scam = scam
        self.epipolar = EpipolarAttention(channels, heads, JOINT_CONDITIONS)

    def forward(self, x_NCHW: Tensor, snr_db_N: Tensor) -> Tensor:
        known_NS = link_conditions(snr_db_N, swap_views(snr_db_N))
        side_N = snr_db_N.new_tensor((LEFT, RIGHT)).repeat(len(snr_db_N) // 2)
        y_NCHW: Tensor = self.epipolar(self.scam(x_NCHW, snr_db_N), known_NS, side_N, is_absent(snr_db_N))
        return y_NCHW


class WideKernels(nn.Module):
    """The other view's features through a wide horizontal convolution with a plane that tells left from right.

    It stands where `EpipolarAttention` stands: same input, same output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.look = nn.Conv2d(2 * channels + 1, channels, (1, WIDE_KERNEL), padding=(0, WIDE_KERNEL // 2))
        self.seen = ChannelNorm(channels)
        self.fuse = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x_NCHW: Tensor, conditions_NS: Tensor, side_N: Tensor, absent_N: Tensor) -> Tensor:
        normal = self.norm(x_NCHW)
        other = torch.where(swap_views(absent_N)[:, None, None, None], 0.0, swap_views(normal))
        side = side_N[:, None, None, None].expand(-1, 1, *x_NCHW.shape[2:]).to(normal.dtype)
        seen = F.relu(self.seen(self.look(torch.cat((normal, other, side), 1))))
        fused: Tensor = self.fuse(torch.cat((x_NCHW.to(seen.dtype), seen), 1))
        return x_NCHW + fused


class TwoEncoders(nn.Module):
    """The paper's theta_x and theta_y: left pictures through one encoder, right ones through another.

    Pictures [2B, 3, H, W] in the order left, right, left..., dB [2B] -> symbols [2B, K, 2].
    """

    def __init__(self, left: Encoder, right: Encoder) -> None:
        super().__init__()
        self.left, self.right = left, right

    def forward(self, picture_N3HW: Tensor, snr_db_N: Tensor) -> Tensor:
        left = self.left(picture_N3HW[0::2], snr_db_N[0::2])
        right = self.right(picture_N3HW[1::2], snr_db_N[1::2])
        return torch.stack((left, right), 1).flatten(0, 1)


def epipolar_at_eighth(model: JointCodec) -> None:
    """Add epipolar attention at 1/8 scale, after SCAM."""
    decoder, config = model.decoder, model.config
    assert decoder.scam is not None
    added = EpipolarAtEighth(decoder.scam, config.decoder_widths[0], config.epipolar_heads)
    decoder.scam = added  # type: ignore[assignment]


def without_scam(model: JointCodec) -> None:
    """Take SCAM out; the epipolar attention stays."""
    model.decoder.scam = None


def wide_kernels(model: JointCodec) -> None:
    """Put wide kernels in the place of the epipolar attention."""
    model.decoder.epipolar = WideKernels(model.config.decoder_widths[1])  # type: ignore[assignment]


def two_encoders(model: JointCodec) -> None:
    """Give the right view an encoder of its own: other random weights, the same linear path."""
    right = Encoder(model.config)
    if right.linear is not None and model.encoder.linear is not None:
        right.linear.load_state_dict(model.encoder.linear.state_dict())
    model.encoder = TwoEncoders(model.encoder, right)  # type: ignore[assignment]


def without_norm(model: JointCodec) -> None:
    """Take every ChannelNorm out (SCAM keeps its own LayerNorm)."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, ChannelNorm):
                setattr(module, name, nn.Identity())
