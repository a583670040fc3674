"""The largest rate that fits a budget: what "compress at the largest rate no more than r_max" means in the paper."""

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from jscc.evaluate.systems.base import Bytes, Picture, unit
from wire import quality
from wire.geometry import DEFAULT_SIZE, PictureSize

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class SourceCodec(Protocol):
    """A picture codec with one quality number. The decoder sees the returned bytes and nothing else of the picture."""

    @property
    def name(self) -> str: ...

    def qualities(self, budget: int) -> range:
        """Quality numbers worth trying for a budget in bytes, from the smallest file to the largest."""
        ...

    def guess(self, budget: int, sizes: Mapping[int, int]) -> tuple[int, int]:
        """Where to begin a search, and how far to go in the first step. A bad guess costs time, never the result.

        sizes  what is known of the picture already: bytes by quality number
        """
        ...

    def encode(self, picture: Bytes, quality: int) -> bytes:
        """The bytes that are counted, of a picture uint8 RGB [3, rows, columns]."""
        ...

    def decode(self, payload: bytes, size: PictureSize = DEFAULT_SIZE) -> Picture:
        """The inverse: float32 [3, rows, columns] in [0, 1]; the size is known to both sides."""
        ...


@dataclass(frozen=True, slots=True)
class Fitted:
    """A picture as it is after source coding. `payload` is what has to reach the other side without an error."""

    payload: bytes
    picture: Picture


class RateSearch:
    """Finds, for a picture and a budget, the largest file that fits, over one or several forms of one codec.

    forms                of the codec; further ones cost one byte that names the form
    remembered_pictures  of which encodings are kept

    With several forms (4:2:0 and 4:4:4) the better picture by PSNR is sent and one byte that names the form is counted.
    The search halves, so the file is the largest if sizes rise with quality (a test holds that); it fits in any case.
    Encodings are remembered for the last few pictures, so that further budgets of a picture cost little.
    """

    def __init__(self, forms: Sequence[SourceCodec], remembered_pictures: int = 4) -> None:
        self.forms = tuple(forms)
        self.name = " or ".join(form.name for form in self.forms)
        self._marker = len(self.forms) > 1
        self._remembered = remembered_pictures
        self._files: OrderedDict[bytes, dict[tuple[int, int], bytes]] = OrderedDict()
        self._found: OrderedDict[bytes, dict[int, Fitted | None]] = OrderedDict()

    def fit(self, picture: Bytes, budget: int) -> Fitted | None:
        """The best file that fits.

        picture  uint8 RGB [3, rows, columns]
        budget   bytes, the byte that names the form included
        returns  None if no file is so small
        raises   what the codec's `encode` does
        """
        digest = hashlib.sha1(picture.tobytes(), usedforsecurity=False).digest()
        found = self._memory(self._found, digest)
        if budget not in found:
            candidates = [self._fit_form(picture, digest, index, budget) for index in range(len(self.forms))]
            fitting = [candidate for candidate in candidates if candidate is not None]
            truth = unit(picture)
            found[budget] = max(fitting, key=lambda fitted: quality.psnr(fitted.picture, truth), default=None)
        return found[budget]

    def decode(self, payload: bytes, size: PictureSize = DEFAULT_SIZE) -> Picture:
        """What the receiver does with a payload of `fit`, of a picture of this size."""
        if not self._marker:
            return self.forms[0].decode(payload, size)
        return self.forms[payload[0]].decode(payload[1:], size)

    def _fit_form(self, picture: Bytes, digest: bytes, index: int, budget: int) -> Fitted | None:
        room = budget - self._marker
        qualities = self.forms[index].qualities(room)
        files = self._memory(self._files, digest)
        sizes = {number: len(file) for (form, number), file in files.items() if form == index}
        last = largest_fit(
            lambda number: len(self._encode(picture, digest, index, number)) <= room,
            qualities,
            *self.forms[index].guess(room, sizes),
        )
        if last is None:
            return None
        best = self._encode(picture, digest, index, last)
        payload = bytes([index]) + best if self._marker else best
        return Fitted(payload, self.decode(payload, PictureSize(picture.shape[1], picture.shape[2])))

    def _encode(self, picture: Bytes, digest: bytes, index: int, quality_number: int) -> bytes:
        files = self._memory(self._files, digest)
        key = (index, quality_number)
        if key not in files:
            files[key] = self.forms[index].encode(picture, quality_number)
        return files[key]

    def _memory(self, memory: "OrderedDict[bytes, dict[_Key, _Value]]", digest: bytes) -> "dict[_Key, _Value]":
        """This picture's part of a memory; the picture that was not asked for the longest is forgotten."""
        part = memory.setdefault(digest, {})
        memory.move_to_end(digest)
        if len(memory) > self._remembered:
            memory.popitem(last=False)
        return part


def largest_fit(fits: Callable[[int], bool], numbers: range, guess: int, stride: int) -> int | None:
    """The largest number that fits, if all up to it fit and none after it; None if not even the first does.

    fits    whether a number does; never asked twice
    guess   where to begin, and `stride` how far to go first

    Strides away from the guess, further each time, until one number fits and another does not; then halves what lies
    between.
    """
    low, high = numbers.start - 1, numbers.stop  # `low` is known to fit, `high` not to
    number = min(max(guess, numbers.start), high - 1)
    while high - low > 1:
        if fits(number):
            low = number
        else:
            high = number
        if low >= numbers.start and high < numbers.stop:
            number = (low + high) // 2
        else:
            number = min(low + stride, high - 1) if low >= numbers.start else max(high - stride, low + 1)
            stride *= 2
    return low if low >= numbers.start else None


def between(sizes: Mapping[int, int], room: int) -> int | None:
    """The quality of a file of `room` bytes, if sizes grow by a constant factor; None without a size on either side."""
    below = max((number for number, size in sizes.items() if size <= room), default=None)
    above = min((number for number, size in sizes.items() if size > room), default=None)
    if below is None or above is None:
        return None
    grown = math.log(room / sizes[below]) / math.log(sizes[above] / sizes[below])
    return below + int(grown * (above - below))
