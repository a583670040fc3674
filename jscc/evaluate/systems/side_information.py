"""DSIN and DWSIC with ideal capacity: learned codecs whose receiver has the other view without loss."""

from collections import OrderedDict
from functools import lru_cache
from typing import Final

import numpy as np

from jscc.distributed.transmission import SideInformationCodec
from jscc.distributed.weights import Trained, load, shipped
from jscc.evaluate.coding.capacity import budget_bytes
from jscc.evaluate.coding.rate_search import largest_fit
from jscc.evaluate.extras import require
from jscc.evaluate.systems.base import Bytes, Channel, Pair, Picture, Sent
from jscc.evaluate.systems.separate import mean_colour
from wire import units
from wire.geometry import DEFAULT_SIZE
from wire.runtime.errors import UserError

REMEMBERED: Final = 4
"""Views whose files are kept, for further budgets."""


class SideInformationSystem:
    """Each view as the largest file that r_max allows, which always arrives; the other view lossless at the receiver.

    The file is the largest of all rate numbers; if not even the smallest fits, the view is its mean colour, as for BPG.

    trained  weights
    source   paper, section 4.2, "DSIN+Capacity" and "DWSIC+Capacity"
    """

    deltas: tuple[float, ...] = (units.NOISELESS,)

    def __init__(self, trained: Trained) -> None:
        self.codec = SideInformationCodec(trained.model)
        self.fingerprint = trained.fingerprint
        self._views: OrderedDict[tuple[str, int], _View] = OrderedDict()

    @classmethod
    def load(cls, name: str) -> "SideInformationSystem":
        """A system by its name on the bench, `dsin-capacity` or `dwsic-capacity`, with the shipped weights.

        raises  UserError if they, or a library that they need, are missing
        """
        require("safetensors", name)
        require("constriction", name)
        try:
            return cls(_trained(name.removesuffix("-capacity")))
        except (FileNotFoundError, ValueError) as error:
            raise UserError(f"{name} cannot use its weights: {error}; see docs/distributed.md") from None

    def transmit(
        self, pair: Pair, snr_left: float, snr_right: float, channel: Channel, rng: np.random.Generator
    ) -> Sent:
        if pair.size != DEFAULT_SIZE:
            raise UserError(f"DSIN and DWSIC know pictures of {DEFAULT_SIZE} only; leave them out, or --size")
        # With the other view noiseless the row's SNR is that of the view's own link; the other one's is infinite.
        pictures: list[Picture] = []
        sizes: list[int] = []
        for place, snr in enumerate((snr_left, snr_right)):
            file = None if snr == units.NOISELESS else self._view(pair, place).fit(budget_bytes(snr, channel))
            if snr == units.NOISELESS:
                pictures.append(pair.truth[place])
            elif file is None:
                pictures.append(mean_colour(pair.views[place]))
            else:
                pictures.append(self.codec.decode(file, pair.views[1 - place], mirrored=place == 1))
            sizes.append(len(file or b""))
        return Sent(np.stack(pictures), (pair.size.symbols, pair.size.symbols), (sizes[0], sizes[1]))

    def _view(self, pair: Pair, place: int) -> "_View":
        key = pair.name, place
        if key not in self._views or not np.array_equal(self._views[key].pixels, pair.views[place]):
            self._views[key] = _View(self.codec, pair.views[place], mirrored=place == 1)
        self._views.move_to_end(key)
        if len(self._views) > REMEMBERED:
            self._views.popitem(last=False)
        return self._views[key]


class _View:
    """The files of one view by rate number, made when they are asked for."""

    def __init__(self, codec: SideInformationCodec, pixels: Bytes, *, mirrored: bool) -> None:
        self.codec, self.pixels = codec, pixels
        self.latent = codec.analyse(pixels, mirrored=mirrored)
        self.files: dict[int, bytes] = {}

    def fit(self, budget: int) -> bytes | None:
        """The largest file of at most `budget` bytes; None if there is none."""
        numbers = range(self.codec.coder.numbers)
        last = largest_fit(lambda number: len(self._file(number)) <= budget, numbers, len(numbers) // 2, 4)
        return None if last is None else self._file(last)

    def _file(self, number: int) -> bytes:
        if number not in self.files:
            self.files[number] = self.codec.encode(self.latent, number)
        return self.files[number]


@lru_cache(maxsize=2)
def _trained(system: str) -> Trained:
    trained = load(shipped(system))
    if trained.system != system:
        raise ValueError(f"{shipped(system)} holds a {trained.system}")
    return trained
