"""From a captured frame to a frame for the wire: age, reference, encoding, packing."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge.camera.capture import CapturedFrame
from edge.camera.sources import Picture
from edge.config import EdgeConfig
from edge.encode.references import References
from edge.encode.thinning import Thinning
from edge.metrics import Metrics
from wire.contract import arrays
from wire.geometry import PictureSize
from wire.runtime.log_throttle import Throttle
from wire.v1 import symbol_link_service_pb2 as link_pb2

_log = logging.getLogger("edge")


class Codec(Protocol):
    """What makes symbols; `edge.encode.encoder.Encoder` does."""

    codec_hash: str

    def encode(self, picture: Picture, snr_db: float) -> NDArray[np.complex64]:
        """RGB uint8 [rows, columns, 3] -> complex64, mean |s|^2 = 1. Called in a thread of its own."""


class FrameEncoder:
    """Makes frames, one at a time; the encoder runs beside the event loop.

    thinning  which pictures are to be brought here, as the encoder is fast or slow
    """

    def __init__(
        self,
        config: EdgeConfig,
        encoder: Codec,
        references: References,
        metrics: Metrics,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.codec_hash = encoder.codec_hash
        self._config = config
        self._encoder, self._references, self._metrics, self._clock_ns = encoder, references, metrics, clock_ns
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encoder")
        self._throttle = Throttle(_log)
        self.thinning = Thinning(config.camera.fps)

    async def make(self, captured: CapturedFrame, sequence: int, snr_db: float) -> link_pb2.SymbolFrame | None:
        """Encode a captured frame for an SNR in dB.

        returns  the frame; None if it is or has become too old, or cannot be encoded (counted)
        """
        if self._too_old(captured):
            return None
        wanted = self._references.wanted(captured.captured_at_ns)
        referenced = wanted and self._references.submit(sequence, captured.picture)
        began = time.perf_counter()
        try:
            loop = asyncio.get_running_loop()
            symbols = await loop.run_in_executor(self._thread, self._encoder.encode, captured.picture, snr_db)
        except Exception as error:  # onnxruntime's exceptions share no base of their own
            self._throttle.warn("encoder", f"a picture could not be encoded: {str(error).splitlines()[0]}")
            self._metrics.dropped("encoder")
            return None
        seconds = time.perf_counter() - began
        self._metrics.stage("encode", seconds)
        before = self.thinning.factor
        if self.thinning.encoded(seconds):
            self._tell_thinning(self.thinning.factor > before)
        if self._too_old(captured):
            return None
        return link_pb2.SymbolFrame(
            sequence=sequence,
            captured_at_ns=captured.captured_at_ns,
            age_budget_ms=self._budget_ms(captured),
            encoder_snr_db=snr_db,
            symbols=arrays.pack_complex(symbols, self._config.link.sample_type),
            stages=[
                link_pb2.StageTime(stage="capture", microseconds=min(captured.capture_us, 2**32 - 1)),
                link_pb2.StageTime(stage="encode", microseconds=round(seconds * 1e6)),
            ],
            referenced=referenced,
        )

    def close(self) -> None:
        """End the encoder's thread."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _tell_thinning(self, slower: bool) -> None:
        """Say which pictures are encoded from now on."""
        thinning = self.thinning
        if thinning.factor == 1:
            _log.info("encoding keeps up with the camera: every picture is sent again")
            return
        _log.log(
            logging.WARNING if slower else logging.INFO,
            "encoding takes %.0f ms a picture, too long for %g a second: one in %d is sent, the same of both views; set"
            " camera.fps of both edges to at most %g, or size to a smaller one, or codec.threads to more",
            1e3 * thinning.encode_s,
            self._config.camera.fps,
            thinning.factor,
            thinning.highest_fps,
        )

    def _budget_ms(self, captured: CapturedFrame) -> int:
        """How old it may become. By its own size: with `size: auto` no other is known before it has come."""
        return self._config.age_budget_ms(PictureSize(*captured.picture.shape[:2]))

    def _too_old(self, captured: CapturedFrame) -> bool:
        too_old = 0 < self._budget_ms(captured) * 1_000_000 < self._clock_ns() - captured.captured_at_ns
        if too_old:
            self._metrics.dropped("age")
        return too_old
