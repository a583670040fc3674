"""Source coding and channel coding apart: a picture codec, then ideal capacity or LDPC. Each view on its own."""

from dataclasses import replace

import numpy as np

from jscc.evaluate.coding.capacity import budget_bytes
from jscc.evaluate.coding.ldpc import Mode, transmit_bytes
from jscc.evaluate.coding.rate_search import RateSearch
from jscc.evaluate.extras import require
from jscc.evaluate.systems.base import Bytes, Channel, Pair, Picture, Sent


class CapacitySystem:
    """The largest file that r_max allows, which always arrives: an upper bound for separate schemes.

    search  of the source codec
    source  paper, section 4.2, "BPG+Capacity" and "JPEG2000+Capacity"
    """

    deltas: tuple[float, ...] = (0.0,)

    def __init__(self, search: RateSearch) -> None:
        self.search = search
        self.fingerprint = search.name

    def transmit(
        self, pair: Pair, snr_left: float, snr_right: float, channel: Channel, rng: np.random.Generator
    ) -> Sent:
        fitted = [
            self.search.fit(view, budget_bytes(snr, channel, pair.size.symbols))
            for view, snr in zip(pair.views, (snr_left, snr_right), strict=True)
        ]
        pictures = [
            mean_colour(view) if one is None else one.picture for view, one in zip(pair.views, fitted, strict=True)
        ]
        left, right = (0 if one is None else len(one.payload) for one in fitted)
        return Sent(np.stack(pictures), (pair.size.symbols, pair.size.symbols), (left, right))


class LdpcSystem:
    """The largest file that one mode transmits; if a block fails, the mean colour of the picture.

    search  of the source codec
    mode    modulation and code rate, the same for all pictures
    source  paper, section 4.2, "BPG+LDPC"
    """

    deltas: tuple[float, ...] = (0.0,)

    def __init__(self, search: RateSearch, mode: Mode) -> None:
        require("sionna", "LDPC")
        self.search = search
        self.mode = mode
        self.fingerprint = search.name

    def transmit(
        self, pair: Pair, snr_left: float, snr_right: float, channel: Channel, rng: np.random.Generator
    ) -> Sent:
        mode = replace(self.mode, symbols=pair.size.symbols)
        fitted = [self.search.fit(view, mode.budget_bytes) for view in pair.views]
        left, right = (b"" if one is None else one.payload for one in fitted)
        arrived = transmit_bytes((left, right), mode, (snr_left, snr_right), channel, rng)
        pictures = [
            self.search.decode(payload, pair.size) if payload else mean_colour(view)
            for view, payload in zip(pair.views, arrived, strict=True)
        ]
        return Sent(np.stack(pictures), (mode.symbols, mode.symbols), (len(left), len(right)))


def mean_colour(picture: Bytes) -> Picture:
    """A flat picture with the mean of each colour channel: of uint8 [3, rows, columns], float32 in [0, 1]."""
    mean = picture.mean(axis=(1, 2), dtype=np.float64) / 255.0
    return np.broadcast_to(mean[:, None, None], picture.shape).astype(np.float32)
