"""The paper's own systems: joint source-channel coding with and without joint decoding."""

from functools import lru_cache
from typing import Final

import numpy as np
import torch
from torch import Tensor

from jscc.evaluate.extras import require
from jscc.evaluate.links import send
from jscc.evaluate.systems.base import MS_SSIM, Channel, Pair, Sent, unit
from jscc.model.checkpoint import read_about, resolve
from jscc.model.codec import Codec
from wire import units
from wire.geometry import CHANNELS, PictureSize
from wire.runtime.errors import UserError

WEIGHTS: Final = {
    "proposed-1": "small-joint",
    "proposed-2": "small-joint",
    "proposed-absent": "small-joint",
    "baseline": "small-baseline",
}
"""Shipped weights; `NAME@WEIGHTS` takes others by name or path."""

DELTAS: Final[dict[str, tuple[float, ...]]] = {
    "proposed-1": (0.0, 5.0, 10.0),
    "proposed-2": (units.NOISELESS,),
    "proposed-absent": (units.ABSENT,),
    "baseline": (0.0,),
}


class NeuralSystem:
    """One codec for both cameras: encode each view knowing its own SNR, equalise, decode the pair.

    codec        loaded weights
    deltas       see `System`
    trained_for  `MS_SSIM`, or "" for PSNR
    source       paper, section 4: methods I and II, and the baseline without joint decoding
    """

    def __init__(self, codec: Codec, deltas: tuple[float, ...], trained_for: str = "") -> None:
        self.codec = codec
        self.deltas = deltas
        self.fingerprint = codec.codec_hash
        self.trained_for = trained_for

    @classmethod
    def load(cls, name: str, weights: str | None) -> "NeuralSystem":
        """A system by its name on the bench.

        weights  name or path; None = the shipped ones
        raises   UserError if there are no such weights, or they are of the other kind
        """
        weights = weights or WEIGHTS[name]
        codec, loss = _load_codec(name, weights)
        if codec.config.joint != (name != "baseline"):
            kind = "decode both views jointly" if codec.config.joint else "decode each view alone"
            raise UserError(f"{name} cannot use the weights {weights}: they {kind}")
        return cls(codec, DELTAS[name], MS_SSIM if loss == "ms-ssim" else "")

    @torch.inference_mode()
    def transmit(
        self, pair: Pair, snr_left: float, snr_right: float, channel: Channel, rng: np.random.Generator
    ) -> Sent:
        snr_db_V = torch.tensor([snr_left, snr_right], dtype=torch.float32)
        sent = [
            _encode(self.codec, view.tobytes(), pair.size, snr)
            for view, snr in zip(pair.views, snr_db_V.tolist(), strict=True)
        ]
        symbols_VK2 = torch.stack(sent)
        received_VK2, reliability_VK = send(symbols_VK2, (snr_left, snr_right), channel, rng)
        pictures_1V3HW = self.codec.decode(received_VK2[None], reliability_VK[None], snr_db_V[None], pair.size)
        used = symbols_VK2.shape[1]
        return Sent(pictures_1V3HW[0].float().cpu().numpy(), symbols=(used, used))


@lru_cache(maxsize=256)
def _encode(codec: Codec, view: bytes, size: PictureSize, snr_db: float) -> Tensor:
    """Symbols [K, 2] of a view (bytes of uint8 [3, rows, columns]): the same for every delta and kind of channel."""
    pixels = np.frombuffer(view, np.uint8).reshape(1, CHANNELS, size.rows, size.columns)
    return codec.encode(torch.from_numpy(unit(pixels)), torch.tensor([snr_db]))[0].cpu()


@lru_cache(maxsize=4)
def _load_codec(name: str, weights: str) -> tuple[Codec, str]:
    """The codec and the loss that it was trained with, as far as the file says."""
    from jscc.model.codec import load

    require("safetensors", name)
    try:
        return load(weights), str(read_about(resolve(weights)).get("settings", {}).get("loss", ""))
    except FileNotFoundError as error:
        raise UserError(f"{name} has no weights {weights}: {error}") from None
    except ValueError as error:
        raise UserError(f"{name} cannot use the weights {weights}: {error}") from None
