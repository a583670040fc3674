"""A received frame: checked, on our clock, equalised."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from center.ingest.equaliser import mmse, spread_gain
from center.output.quality import FrameKey
from wire import units
from wire.contract.arrays import unpack_complex
from wire.contract.outcomes import STAGES, Reason
from wire.contract.sizes import check_frame
from wire.geometry import DEFAULT_SIZE, PictureSize
from wire.runtime.errors import FrameError
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.v1 import types_pb2
from wire.views import View

Answer = Callable[[int, "link_pb2.Outcome.ValueType", Reason | Literal[""], str], None]
"""Tells the sender what became of a sequence: outcome, reason ("" if it was accepted), detail."""

MOST_STAGES: Final = 16
"""Stage times that a frame may bring; ours bring three."""

POWER_RATIO: Final = (1e-4, 1e2)
"""Mean power received over mean power expected. Generous: noise and fades are the channel's right."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One view of one instant, ready to be paired and decoded.

    captured_at  seconds on the center's steady clock
    arrived_at   seconds, likewise
    expires_at   when nobody wants it any longer, seconds; +inf is never
    symbols      float32 [k, 2], I and Q after the equaliser
    reliability  float32 [k] in [0, 1]
    snr_db       mean Es/N0 of its link; +inf is noiseless
    stages       seconds in each stage passed so far
    referenced   its untouched picture comes past the channel
    answer       gives its credit back to the sender; to be called once
    message      as it came, for the recorder
    size         of the picture, which has k symbols
    """

    key: FrameKey
    captured_at: float
    arrived_at: float
    expires_at: float
    symbols: NDArray[np.float32]
    reliability: NDArray[np.float32]
    snr_db: float
    stages: Mapping[str, float]
    referenced: bool
    answer: Answer
    message: link_pb2.SymbolFrame | None = None
    size: PictureSize = DEFAULT_SIZE

    @property
    def view(self) -> View:
        return self.key.view

    @property
    def sequence(self) -> int:
        return self.key.sequence


def check_and_equalise(
    message: link_pb2.SymbolFrame, size: PictureSize = DEFAULT_SIZE
) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """A frame's numbers, checked before anything is allocated by them, and equalised.

    size     of its picture, as its stream's Hello said
    returns  symbols float32 [k, 2], reliability float32 [k] and snr_db, as in `Frame`
    raises   FrameError with reason sequence, shape, type, not_finite or power
    """
    if len(message.stages) > MOST_STAGES:
        raise FrameError("shape", f"{len(message.stages)} stage times came; send at most {MOST_STAGES}")
    check_frame(message, size)
    if message.sequence == 0:
        raise FrameError("sequence", "sequence is 0; count frames up from 1")
    if message.captured_at_ns <= 0:
        raise FrameError("type", "captured_at_ns is not set; send the time of capture, Unix nanoseconds")
    if message.symbols.count != size.symbols:
        raise FrameError("shape", f"{message.symbols.count} symbols came; a picture of {size} has {size.symbols}")
    received = unpack_complex(message.symbols)
    power = units.mean_power(received)
    if not np.isfinite(power):
        raise FrameError("not_finite", "the symbols hold NaN or infinity; check the encoder and the channel")
    if not message.HasField("channel_state"):
        snr_db, variance, gain = units.NOISELESS, 0.0, None
    else:
        snr_db, variance = _noise(message.channel_state)
        gain = _gain(message.channel_state, size.symbols)
    expected = (units.POWER if gain is None else units.mean_power(gain)) + variance
    if not POWER_RATIO[0] * expected <= power <= POWER_RATIO[1] * expected:
        raise FrameError(
            "power",
            f"the mean power is {power:.3g} where about {expected:.3g} is expected; send symbols of mean power 1",
        )
    estimate, reliability = mmse(received, gain, variance)
    return estimate.view(np.float32).reshape(size.symbols, 2), reliability, snr_db


def stage_times(message: link_pb2.SymbolFrame) -> dict[str, float]:
    """Seconds in the stages that we count; a stage named twice (two channels) adds up."""
    stages: dict[str, float] = {}
    for each in message.stages:
        if each.stage in STAGES:
            stages[each.stage] = stages.get(each.stage, 0.0) + each.microseconds * 1e-6
    return stages


def _noise(state: types_pb2.ChannelState) -> tuple[float, float]:
    """Mean SNR in dB and N0. An N0 of 0 beside a finite SNR was not told: the SNR gives it."""
    snr_db, variance = float(state.snr_db), float(state.noise_variance)
    if np.isnan(snr_db) or snr_db == units.ABSENT:
        raise FrameError("not_finite", f"the link's snr_db is {snr_db}; send a number of dB, or +inf for noiseless")
    if not (np.isfinite(variance) and variance >= 0.0):
        raise FrameError("not_finite", f"noise_variance is {variance}; send N0 of a complex symbol, 0 or more")
    if variance == 0.0 and snr_db != units.NOISELESS:
        variance = units.noise_variance(snr_db)
        if np.isinf(variance):
            raise FrameError("not_finite", f"the link's snr_db is {snr_db:g}, which no number can hold; send dB")
    return snr_db, variance


def _gain(state: types_pb2.ChannelState, symbols: int) -> NDArray[np.complex64] | None:
    """One gain per symbol, or None where none was told."""
    if state.gain.count == 0:
        return None
    gain = unpack_complex(state.gain)
    if not np.isfinite(units.mean_power(gain)):
        raise FrameError("not_finite", "the channel gain holds NaN or infinity; check the channel estimate")
    return spread_gain(gain, state.coherence, symbols)
