"""The joint source-channel encoder as an ONNX graph."""

import numpy as np
from numpy.typing import NDArray

from wire import codec, units
from wire.geometry import CHANNELS, DEFAULT_SIZE, PictureSize
from wire.runtime.errors import UserError

_POWER_TOLERANCE = 1e-2


class Encoder:
    """JSCE: a picture and the SNR of its own link -> complex symbols. Not for two threads at once."""

    def __init__(self, name: str, threads: int, size: PictureSize = DEFAULT_SIZE) -> None:
        """Load and warm up.

        name     of a shipped codec, or a folder
        threads  of onnxruntime; 0 takes every core
        size     of the pictures
        raises   UserError if the codec is missing, broken, breaks the power constraint, or takes no such pictures
        """
        half = codec.load_onnx(name, "encoder", threads)
        self.codec_hash = half.codec_hash
        self._session, self._name = half.session, name
        self.prepare(size)

    def encode(self, picture: NDArray[np.uint8], snr_db: float) -> NDArray[np.complex64]:
        """Encode one picture.

        picture  RGB, uint8 [rows, columns, 3], of a size that it was prepared for
        snr_db   Es/N0 that the encoder may assume, dB; +inf is noiseless
        returns  complex64 [symbols of the size], mean |s|^2 = 1
        """
        planes = np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32)[None] / np.float32(255)
        inputs = {"picture": planes, "snr_db": np.array([snr_db], np.float32)}
        (symbols,) = self._session.run(["symbols"], inputs)
        return np.ascontiguousarray(symbols[0], np.float32).view(np.complex64)[:, 0]

    def prepare(self, size: PictureSize) -> None:
        """Encode a ramp: the first run is slow, and a wrong graph must be found before pictures are sent.

        raises  UserError if pictures of this size cannot be encoded, or not at unit power
        """
        self._check_fixed(size)
        shape = size.rows, size.columns, CHANNELS
        ramp = np.linspace(0, 255, size.pixels * CHANNELS).astype(np.uint8).reshape(shape)
        try:
            symbols = self.encode(ramp, snr_db=units.NOISELESS)
        except Exception as error:  # onnxruntime's exceptions share no base of their own
            why = str(error).splitlines()[0]
            raise UserError(f"the encoder of codec '{self._name}' does not run ({why}); export it again") from error
        power = units.mean_power(symbols)
        if symbols.shape != (size.symbols,) or not abs(power - units.POWER) < _POWER_TOLERANCE:
            raise UserError(
                f"the encoder of codec '{self._name}' makes {symbols.size} symbols of mean power {power:.3f};"
                f" {size.symbols} of power {units.POWER:g} are needed for {size}; export it again"
            )

    def _check_fixed(self, size: PictureSize) -> None:
        """raises UserError if the graph was exported for another size only, as it was before there were several"""
        rows, columns = self._session.get_inputs()[0].shape[-2:]
        fixed = isinstance(rows, int) and isinstance(columns, int)  # else names
        if fixed and (rows, columns) != (size.rows, size.columns):
            raise UserError(
                f"the encoder of codec '{self._name}' takes pictures of {rows}x{columns} only, not of {size};"
                " set size to that, or export it again"
            )
