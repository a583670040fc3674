"""The joint source-channel encoder as an ONNX graph."""

import numpy as np
from numpy.typing import NDArray

from wire import codec, units
from wire.geometry import CHANNELS, HEIGHT, SYMBOLS, WIDTH
from wire.runtime.errors import UserError

_POWER_TOLERANCE = 1e-2


class Encoder:
    """JSCE: a picture and the SNR of its own link -> complex symbols. Not for two threads at once."""

    def __init__(self, name: str, threads: int) -> None:
        """Load and warm up.

        name     of a shipped codec, or a folder
        threads  of onnxruntime; 0 takes every core
        raises   UserError if the codec is missing, broken, or breaks the power constraint
        """
        half = codec.load_onnx(name, "encoder", threads)
        self.codec_hash = half.codec_hash
        self._session = half.session
        self._check(name)

    def encode(self, picture: NDArray[np.uint8], snr_db: float) -> NDArray[np.complex64]:
        """Encode one picture.

        picture  RGB, uint8 [128, 256, 3]
        snr_db   Es/N0 that the encoder may assume, dB; +inf is noiseless
        returns  complex64 [5120], mean |s|^2 = 1
        """
        planes = np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32)[None] / np.float32(255)
        inputs = {"picture": planes, "snr_db": np.array([snr_db], np.float32)}
        (symbols,) = self._session.run(["symbols"], inputs)
        return np.ascontiguousarray(symbols[0], np.float32).view(np.complex64)[:, 0]

    def _check(self, name: str) -> None:
        """Encode a ramp: the first run is slow, and a wrong graph must be found before the camera runs."""
        ramp = np.linspace(0, 255, HEIGHT * WIDTH * CHANNELS).astype(np.uint8).reshape(HEIGHT, WIDTH, CHANNELS)
        try:
            symbols = self.encode(ramp, snr_db=units.NOISELESS)
        except Exception as error:  # onnxruntime's exceptions share no base of their own
            why = str(error).splitlines()[0]
            raise UserError(f"the encoder of codec '{name}' does not run ({why}); export it again") from error
        power = units.mean_power(symbols)
        if symbols.shape != (SYMBOLS,) or not abs(power - units.POWER) < _POWER_TOLERANCE:
            raise UserError(
                f"the encoder of codec '{name}' makes {symbols.size} symbols of mean power {power:.3f};"
                f" {SYMBOLS} of power {units.POWER:g} are needed; export it again"
            )
