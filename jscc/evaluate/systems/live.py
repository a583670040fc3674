"""One frame through BPG and LDPC in well under a second: the cliff effect, to compare with a live picture."""

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from jscc.evaluate.coding.bpg import bpg_forms
from jscc.evaluate.coding.ldpc import MODES, Mode, transmit_bytes
from jscc.evaluate.coding.rate_search import RateSearch
from jscc.evaluate.systems.base import Bytes, Channel, Picture
from jscc.evaluate.systems.separate import mean_colour
from wire import geometry
from wire.runtime.errors import UserError

PICTURE_SHAPE: Final = (geometry.CHANNELS, geometry.HEIGHT, geometry.WIDTH)

THRESHOLDS_DB: Final[dict[Channel, dict[str, float]]] = {
    "awgn": {
        "qpsk-1/5": -3.5,
        "qpsk-1/4": -2.5,
        "qpsk-1/3": -1.0,
        "qpsk-1/2": 1.3,
        "qpsk-2/3": 3.3,
        "16qam-5/12": 5.3,
        "16qam-1/2": 6.6,
        "16qam-2/3": 9.1,
        "64qam-1/2": 10.6,
    },
    "rayleigh": {
        "qpsk-1/5": -2.9,
        "qpsk-1/4": -1.6,
        "qpsk-1/3": 0.3,
        "qpsk-1/2": 3.3,
        "qpsk-2/3": 6.6,
        "16qam-5/12": 6.9,
        "16qam-1/2": 8.7,
        "16qam-2/3": 12.1,
        "64qam-1/2": 13.0,
    },
}
"""Es/N0 in dB from which nearly all pictures arrive: 63 or 64 of 64 in a simulation, 0.1 dB apart."""


@dataclass(frozen=True, slots=True)
class LivePicture:
    """What arrived of one frame.

    picture  float32 [3, 128, 256] in [0, 1]; if it did not arrive, its mean colour
    arrived  whether every block was decoded
    mode     name of the modulation and code rate
    bytes    after source coding
    seconds  of coding, transmission and decoding
    """

    picture: Picture
    arrived: bool
    mode: str
    bytes: int
    seconds: float


def best_mode(snr_db: float, channel: Channel = "awgn") -> Mode:
    """The mode of the highest rate that is safe at an SNR; below all thresholds the most robust one, which then fails.

    snr_db  mean Es/N0, dB
    """
    safe = [mode for mode in MODES if THRESHOLDS_DB[channel][mode.name] <= snr_db]
    return safe[-1] if safe else MODES[0]


def transmit_live(
    picture: Bytes,
    snr_db: float,
    channel: Channel = "awgn",
    mode: Mode | None = None,
    rng: np.random.Generator | None = None,
) -> LivePicture:
    """Send one frame by BPG and LDPC over a simulated link.

    picture  uint8 RGB [3, 128, 256]
    snr_db   mean Es/N0, dB
    mode     None adapts to the SNR; a fixed one shows the cliff effect
    rng      noise; None draws afresh
    raises   UserError if the picture is of another kind, or if an encoder or the LDPC library is missing

    The first call of a mode loads libraries and builds the code (seconds); call it once with any picture to warm up.
    One thread only.
    """
    if picture.shape != PICTURE_SHAPE or picture.dtype != np.uint8:
        wanted = "x".join(map(str, PICTURE_SHAPE))
        raise UserError(f"a picture of {'x'.join(map(str, picture.shape))} {picture.dtype}; give one of {wanted} uint8")
    started = time.perf_counter()
    mode = mode or best_mode(snr_db, channel)
    fitted = _search().fit(picture, mode.budget_bytes)
    payload = b"" if fitted is None else fitted.payload
    (arrived,) = transmit_bytes([payload], mode, [snr_db], channel, rng or np.random.default_rng())
    shown = fitted.picture if fitted is not None and arrived is not None else mean_colour(picture)
    seconds = time.perf_counter() - started
    return LivePicture(shown, bool(arrived), mode.name, len(payload), seconds)


@lru_cache(maxsize=1)
def _search() -> RateSearch:
    return RateSearch(bpg_forms(live=True), remembered_pictures=1)
