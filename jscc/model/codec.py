"""A codec, one encoder for both cameras and the joint decoder: a module to train, or loaded to encode and decode."""

from pathlib import Path

import torch
from torch import Tensor, nn

from jscc.channel import ChannelNoise, Fading, transmit
from jscc.model.checkpoint import fill, load_weights, resolve
from jscc.model.config import CodecConfig
from jscc.model.decoder import Decoder, batch_to_views, views_to_batch
from jscc.model.encoder import Encoder
from wire.geometry import DEFAULT_SIZE, PictureSize


def count(module: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


class JointCodec(nn.Module):
    """Encoder, channel and decoder in one differentiable forward pass (paper, Fig. 1)."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    def forward(
        self,
        pictures_BV3HW: Tensor,
        snr_db_BV: Tensor,
        fading_BV: Tensor | Fading,
        chance: ChannelNoise | torch.Generator | None = None,
    ) -> Tensor:
        """Send both views over their own links and decode them jointly.

        pictures_BV3HW  float [B, 2, 3, H, W] in [0, 1], left then right
        snr_db_BV       float [B, 2], dB, mean Es/N0 of each link; +inf and -inf allowed
        fading_BV       int [B, 2] of `Fading`, or one for all
        chance          noise and gains drawn before, or the generator to draw them from
        returns         float [B, 2, 3, H, W], not clamped
        """
        rows, columns = pictures_BV3HW.shape[-2:]
        snr_N = views_to_batch(snr_db_BV)
        fading_N = views_to_batch(fading_BV) if isinstance(fading_BV, Tensor) else fading_BV
        pictures_N3HW = views_to_batch(pictures_BV3HW).contiguous(memory_format=torch.channels_last)
        symbols_NK2 = self.encoder(pictures_N3HW, snr_N)
        received_NK2, reliability_NK = transmit(symbols_NK2, snr_N, fading_N, chance)
        decoded: Tensor = self.decoder(
            batch_to_views(received_NK2), batch_to_views(reliability_NK), snr_db_BV, (rows, columns)
        )
        return decoded


class Codec:
    """Trained weights, ready to use. Get one from `load`.

    codec_hash  16 hexadecimal digits that stand for config and weights; edge and center must agree on them
    """

    def __init__(self, model: JointCodec, codec_hash: str, device: str | torch.device = "cpu") -> None:
        self.device = torch.device(device)
        self.model = model.to(self.device).eval().requires_grad_(False)
        self.config = model.config
        self.codec_hash = codec_hash

    @torch.inference_mode()
    def encode(self, picture: Tensor, snr_db: Tensor) -> Tensor:
        """Symbols of pictures.

        picture  float [B, 3, rows, columns] in [0, 1], rows and columns multiples of 16
        snr_db   float [B], dB, of each picture's link
        returns  float [B, K, 2] = (I, Q), mean power 1 per picture; K = 5120 at 128x256
        """
        symbols: Tensor = self.model.encoder(picture.to(self.device), snr_db.to(self.device))
        return symbols

    @torch.inference_mode()
    def decode(self, symbols: Tensor, reliability: Tensor, snr_db: Tensor, size: PictureSize = DEFAULT_SIZE) -> Tensor:
        """Both pictures of each pair.

        symbols      float [B, 2, K, 2], left then right, equalised; K = size.symbols
        reliability  float [B, 2, K] in [0, 1], |h|^2 / (|h|^2 + N0) of each symbol
        snr_db       float [B, 2], dB; -inf: the view never came
        size         of the pictures
        returns      float [B, 2, 3, rows, columns] in [0, 1]
        """
        inputs = (tensor.to(self.device) for tensor in (symbols, reliability, snr_db))
        pictures: Tensor = self.model.decoder(*inputs, (size.rows, size.columns))
        return pictures.clamp(0, 1)


def load(path_or_name: str | Path, device: str | torch.device = "cpu") -> Codec:
    """A codec by its name or path.

    path_or_name  of shipped weights ("small-joint"), or a `model.safetensors` file or its folder
    device        of torch
    raises        FileNotFoundError if there is no such file, `jscc.model.checkpoint.WeightsError` if it does not match
                  its config exactly
    """
    config, tensors, codec_hash = load_weights(resolve(path_or_name))
    model = JointCodec(config)
    fill(model, tensors)
    return Codec(model, codec_hash, device)
