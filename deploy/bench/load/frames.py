"""Frames for load tests: real pictures, encoded and sent through AWGN once, before any clock runs."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deploy.bench.offline import unit_noise
from deploy.local.stack import FOOTAGE
from edge.camera.framing import Framing
from edge.encode.encoder import Encoder
from wire import units
from wire.contract.arrays import pack_complex
from wire.geometry import DEFAULT_SIZE, PictureSize
from wire.pictures import list_pictures, read_picture
from wire.runtime.errors import FrameError, UserError
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.v1 import types_pb2
from wire.views import View


@dataclass(frozen=True)
class PreparedFrames:
    """Received symbols of every pair of a clip, packed for the wire.

    arrays         by view: one array of complex symbols per picture of the clip
    channel_state  what the receiver is told of the AWGN link
    snr_db         mean Es/N0 of both links
    size           of the pictures
    """

    arrays: dict[View, list[types_pb2.ComplexArray]]
    channel_state: types_pb2.ChannelState
    snr_db: float
    codec_hash: str
    size: PictureSize = DEFAULT_SIZE

    @staticmethod
    def make(
        codec_name: str,
        snr_db: float,
        sample_type: str = "f32",
        clip: Path = FOOTAGE,
        size: PictureSize = DEFAULT_SIZE,
    ) -> "PreparedFrames":
        """Encode every picture of a clip and add noise. Takes about a second at 128x256.

        sample_type  f32, f16 or i8: how each real number of a symbol travels
        size         to bring the pictures to
        raises       UserError if the codec cannot be loaded or takes no such pictures, or the clip has smaller ones
        """
        encoder = Encoder(codec_name, 0, size)
        n0 = units.noise_variance(snr_db)
        arrays: dict[View, list[types_pb2.ComplexArray]] = {View.LEFT: [], View.RIGHT: []}
        for seed, pair in enumerate(zip(*(_pictures(clip / view, size) for view in View), strict=True)):
            sent = np.stack([encoder.encode(picture, snr_db) for picture in pair])
            received = sent + np.float32(n0**0.5) * unit_noise(sent.shape, seed)
            for view in View:
                arrays[view].append(pack_complex(received[view.position].astype(np.complex64), sample_type))
        state = types_pb2.ChannelState(snr_db=snr_db, noise_variance=n0)
        return PreparedFrames(arrays, state, snr_db, encoder.codec_hash, size)

    def frame(self, view: View, sequence: int, captured_at_ns: int) -> link_pb2.SymbolFrame:
        """Frame number `sequence` of a view; the clip loops, alike for both views."""
        clip = self.arrays[view]
        return link_pb2.SymbolFrame(
            sequence=sequence,
            captured_at_ns=captured_at_ns,
            encoder_snr_db=self.snr_db,
            symbols=clip[sequence % len(clip)],
            channel_state=self.channel_state,
        )

    def wire_bytes(self) -> tuple[int, int]:
        """Bytes of one frame's message, and of its symbols alone."""
        frame = self.frame(View.LEFT, 1_000, time.time_ns())
        return link_pb2.TransmitRequest(frame=frame).ByteSize(), len(frame.symbols.data)


def _pictures(folder: Path, size: PictureSize) -> list[NDArray[np.uint8]]:
    """One view of a clip as its edge would send it. raises UserError"""
    framing = Framing(size)
    try:
        return [framing.fit(read_picture(path)) for path in list_pictures(folder)]
    except FrameError as problem:
        raise UserError(f"{folder}: {problem}") from None
