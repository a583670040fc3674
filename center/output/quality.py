"""Measures reconstructions against references that come past the channel, in either order."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from wire import quality
from wire.views import View

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class FrameKey:
    """Names one frame for as long as its camera's name lasts."""

    rig: str
    view: View
    boot_id: int
    sequence: int


class _Shelf(Generic[T]):
    """What waits for its partner, oldest first."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._items: OrderedDict[FrameKey, tuple[float, T]] = OrderedDict()

    def put(self, key: FrameKey, item: T, now: float) -> None:
        self._items.pop(key, None)
        self._items[key] = (now, item)
        if len(self._items) > self._keep:
            self._items.popitem(last=False)

    def take(self, key: FrameKey) -> T | None:
        found = self._items.pop(key, None)
        return None if found is None else found[1]

    def expire(self, before: float) -> int:
        """Forget what was put until `before`; gives how many."""
        gone = 0
        while self._items and next(iter(self._items.values()))[0] <= before:
            self._items.popitem(last=False)
            gone += 1
        return gone

    def __len__(self) -> int:
        return len(self._items)


class Matcher(Generic[R, T]):
    """Brings references and reconstructions of the same frames together; bounded, aged, no clock.

    keep     of each kind at most; one more forgets the oldest
    max_age  how long one waits for the other, seconds
    """

    def __init__(self, keep: int, max_age: float) -> None:
        self._max_age = max_age
        self._references = _Shelf[R](keep)
        self._reconstructions = _Shelf[T](keep)

    def reference(self, key: FrameKey, reference: R, now: float) -> T | None:
        """A reference came; gives the reconstruction if that is here already, and forgets both."""
        met = self._reconstructions.take(key)
        if met is None:
            self._references.put(key, reference, now)
        return met

    def reconstruction(self, key: FrameKey, reconstruction: T, now: float) -> R | None:
        """A reconstruction is done; gives the reference if that is here already, and forgets both."""
        met = self._references.take(key)
        if met is None:
            self._reconstructions.put(key, reconstruction, now)
        return met

    def expire(self, now: float) -> int:
        """Forget what has waited for too long; gives how many."""
        return self._references.expire(now - self._max_age) + self._reconstructions.expire(now - self._max_age)

    def __len__(self) -> int:
        return len(self._references) + len(self._reconstructions)


@dataclass(frozen=True, slots=True)
class Figures:
    """psnr_db in dB; ms_ssim 0 to 1, None where it is not measured."""

    psnr_db: float
    ms_ssim: float | None


def measure(picture: NDArray[np.float32], reference: NDArray[np.uint8], with_ms_ssim: bool = True) -> Figures:
    """The quality of one reconstruction. About 12 ms, so not for the event loop.

    picture    float32 [3, 128, 256] in [0, 1] as decoded, not rounded to 8 bits
    reference  uint8 [128, 256, 3]
    """
    truth = reference.transpose(2, 0, 1).astype(np.float32) / np.float32(255.0)
    ms_ssim = quality.ms_ssim(picture, truth) if with_ms_ssim else None
    return Figures(quality.psnr(picture, truth), ms_ssim)
