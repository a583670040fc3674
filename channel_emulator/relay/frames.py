"""A frame on the wire, through a link, and on: protobuf in, protobuf out; no gRPC and no clock."""

from typing import Final

import numpy as np

from channel_emulator.channel.awgn import ChannelOutput
from channel_emulator.channel.settings import Tolerance
from channel_emulator.links.link import Delivered, Link, Lost
from wire.contract.arrays import pack_complex, unpack_complex
from wire.contract.link_settings import Model
from wire.contract.sizes import check_frame
from wire.geometry import DEFAULT_SIZE, PictureSize
from wire.runtime.errors import FrameError
from wire.units import noise_variance
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.v1 import types_pb2

FrameOutcome = Delivered | Lost | FrameError

_TOLERANCES: Final = {
    types_pb2.SAMPLE_TYPE_F32: "f32",
    types_pb2.SAMPLE_TYPE_F16: "f16",
    types_pb2.SAMPLE_TYPE_I8: "i8",
}


def process_frame(
    link: Link, frame: link_pb2.SymbolFrame, now: float, size: PictureSize = DEFAULT_SIZE
) -> FrameOutcome:
    """Send a frame through a link.

    frame    if it passes, its symbols become the received ones, in f32 whatever the sender's type was (a coarse
             type would add noise that nobody is told of), and its channel state is set
    now      seconds
    size     of the stream's pictures, as its Hello said
    returns  what became of it; a FrameError is the transmitter's fault
    """
    if frame.HasField("channel_state"):
        line = (
            "the frame has crossed a channel already; connect the edge to one channel emulator, and that to the center"
        )
        return FrameError("type", line)
    if (count := frame.symbols.count) != size.symbols:
        line = f"a picture of {size} is {size.symbols} complex symbols, but {count} came; send {size.symbols}"
        return FrameError("shape", line)
    try:
        check_frame(frame, size)
        # An infinite scale makes NaN here, which the power check then names.
        with np.errstate(invalid="ignore", over="ignore"):
            symbols = unpack_complex(frame.symbols)
            tolerance = _tolerance(frame, link.settings.power_tolerance)
            outcome = link.transmit(symbols, tolerance, frame.sequence, now)
    except FrameError as problem:
        return problem
    if isinstance(outcome, Delivered):
        if link.settings.model is not Model.CLEAN or outcome.checked.unusual:
            frame.symbols.CopyFrom(pack_complex(outcome.output.received))
        _tell(frame.channel_state, outcome.output)
    return outcome


def acknowledge(sequence: int, outcome: Lost | FrameError) -> link_pb2.Acknowledgement:
    """The answer to a frame that ended here."""
    kind = link_pb2.OUTCOME_LOST if isinstance(outcome, Lost) else link_pb2.OUTCOME_REJECTED
    detail = outcome.detail if isinstance(outcome, Lost) else str(outcome)
    return link_pb2.Acknowledgement(sequence=sequence, outcome=kind, reason=outcome.reason, detail=detail)


def _tolerance(frame: link_pb2.SymbolFrame, tolerance: Tolerance) -> float:
    value: float = getattr(tolerance, _TOLERANCES[frame.symbols.sample_type])
    return value


def _tell(state: types_pb2.ChannelState, output: ChannelOutput) -> None:
    """Write down what the receiver knows."""
    state.Clear()
    state.snr_db = output.snr_db
    state.noise_variance = noise_variance(output.snr_db)
    if output.known is not None:
        state.gain.CopyFrom(pack_complex(output.known.h))
        state.coherence = output.known.coherence
