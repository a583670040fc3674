"""The codec without the system: encode, AWGN, equalise and decode in one process, for comparison with what is live.

Written apart from the emulator and the center on purpose: where both agree, neither has a wrong factor of two.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jscc.data.pairs import read_cropped
from wire import codec, units
from wire.geometry import DEFAULT_SIZE, LATENT_CHANNELS, PictureSize
from wire.quality import psnr
from wire.runtime.errors import UserError

Pictures = NDArray[np.float32]


def size_of(text: str) -> PictureSize:
    """A size of the command line. raises UserError for what is none"""
    try:
        return PictureSize.parse(text)
    except ValueError as error:
        raise UserError(f"--size: {error}") from None


def load_pairs(folder: Path, size: PictureSize = DEFAULT_SIZE) -> Pictures:
    """Every pair of a folder with `left/` and `right/`, as the edges would send them.

    size     that the edges are set to
    returns  float32 [pair, view, 3, rows, columns] in [0, 1]
    raises   what `jscc.data.pairs.read_cropped` does
    """
    return np.stack(list(read_cropped(folder, "the bench", size=size).values())).astype(np.float32) / np.float32(255)


@dataclass
class OfflineCodec:
    """Both halves of a codec in onnxruntime."""

    encoder: codec.OnnxHalf
    decoder: codec.OnnxHalf

    @staticmethod
    def load(name: str = codec.DEFAULT, threads: int = 0) -> "OfflineCodec":
        return OfflineCodec(codec.load_onnx(name, "encoder", threads), codec.load_onnx(name, "decoder", threads))

    def encode(self, pictures: Pictures, snr_db: float) -> NDArray[np.complex64]:
        """float32 [n, 3, rows, columns] -> complex64 [n, K], unit power each; K = 5120 at 128x256."""
        snrs = np.full(len(pictures), snr_db, np.float32)
        (symbols,) = self.encoder.session.run(["symbols"], {"picture": pictures, "snr_db": snrs})
        sent: NDArray[np.complex64] = np.asarray(symbols, np.float32).view(np.complex64).reshape(len(pictures), -1)
        return sent

    def decode(
        self, received: NDArray[np.complex64], snr_db: tuple[float, float], size: PictureSize = DEFAULT_SIZE
    ) -> Pictures:
        """AWGN symbols [n, view, K] -> pictures [n, view, 3, rows, columns]; an absent view has SNR -inf."""
        snrs = np.asarray(snr_db, np.float32)
        trust = np.array([0.0 if mu == units.ABSENT else 1.0 / (1.0 + units.noise_variance(mu)) for mu in snr_db])
        reliability = np.broadcast_to(trust[:, None].astype(np.float32), received.shape)
        equalised = np.where(reliability > 0.0, received * reliability, 0).astype(np.complex64)
        grid = (*received.shape[:2], LATENT_CHANNELS // 2, *size.latent)
        (pictures,) = self.decoder.session.run(
            ["pictures"],
            {
                "symbols": np.ascontiguousarray(equalised).view(np.float32).reshape(*grid, 2),
                "reliability": np.ascontiguousarray(reliability).reshape(grid),
                "snr_db": np.broadcast_to(snrs, (len(received), 2)).copy(),
            },
        )
        return np.asarray(pictures, np.float32)


def unit_noise(shape: tuple[int, ...], seed: int) -> NDArray[np.complex64]:
    """CN(0, 1), so that every SNR meets the same realisation."""
    rng = np.random.default_rng(seed)
    return np.asarray((rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(2.0), np.complex64)


def transmit(of: OfflineCodec, pairs: Pictures, snr_db: tuple[float, float], seed: int = 0) -> NDArray[np.float64]:
    """Send every pair over AWGN; returns PSNR in dB, [pair, view]; NaN for an absent view."""
    quality, size = np.full(pairs.shape[:2], np.nan), PictureSize(*pairs.shape[3:])
    for i, pair in enumerate(pairs):
        sent = np.stack([of.encode(pair[[v]], snr_db[v])[0] for v in range(2)])
        scale = [np.sqrt(units.noise_variance(mu)) if mu != units.ABSENT else 0.0 for mu in snr_db]
        received = sent + np.asarray(scale, np.float32)[:, None] * unit_noise(sent.shape, seed + i)
        for v, picture in enumerate(of.decode(received[None].astype(np.complex64), snr_db, size)[0]):
            if snr_db[v] != units.ABSENT:
                quality[i, v] = psnr(picture, pair[v])
    return quality
