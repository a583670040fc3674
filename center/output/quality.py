"""Measures reconstructions against references that come past the channel, in either order."""

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from wire import quality
from wire.views import View

T = TypeVar("T")
R = TypeVar("R")
_Camera = tuple[str, View]


@dataclass(frozen=True, slots=True)
class FrameKey:
    """Names one frame for as long as its camera's name lasts."""

    rig: str
    view: View
    boot_id: int
    sequence: int


@dataclass(frozen=True, slots=True)
class _Kept(Generic[T]):
    """at: since when, seconds; held: bytes."""

    item: T
    at: float
    held: int


class _Waiting(Generic[T]):
    """What waits for its partner, at most `keep` and `most_bytes`; one more forgets the oldest of the camera that has
    the most: of too many the most things, of too many bytes the most bytes. One always stays."""

    def __init__(self, keep: int, most_bytes: float) -> None:
        self._keep, self._most_bytes, self._bytes = keep, most_bytes, 0
        self._cameras: dict[_Camera, OrderedDict[FrameKey, _Kept[T]]] = {}

    def put(self, key: FrameKey, item: T, now: float, held: int) -> None:
        self.take(key)
        self._cameras.setdefault((key.rig, key.view), OrderedDict())[key] = _Kept(item, now, held)
        self._bytes += held
        if len(self) > self._keep:
            self._forget_oldest(self._that_has_most(lambda kept: 1))
        while self._bytes > self._most_bytes and len(self) > 1:
            self._forget_oldest(self._that_has_most(lambda kept: kept.held))

    def take(self, key: FrameKey) -> T | None:
        camera = self._cameras.get((key.rig, key.view))
        if camera is None or key not in camera:
            return None
        kept = camera.pop(key)
        self._bytes -= kept.held
        if not camera:
            del self._cameras[key.rig, key.view]
        return kept.item

    def expire(self, before: float) -> int:
        """Forget what was put until `before`; gives how many."""
        gone = 0
        for camera in list(self._cameras):
            while camera in self._cameras and self._since(camera) <= before:
                self._forget_oldest(camera)
                gone += 1
        return gone

    def __len__(self) -> int:
        return sum(len(camera) for camera in self._cameras.values())

    def _that_has_most(self, of: Callable[[_Kept[T]], int]) -> _Camera:
        """The camera whose things add up to the most; of equals the one that has the oldest."""
        return max(
            self._cameras, key=lambda camera: (sum(map(of, self._cameras[camera].values())), -self._since(camera))
        )

    def _since(self, camera: _Camera) -> float:
        """When the oldest of a camera was put."""
        return next(iter(self._cameras[camera].values())).at

    def _forget_oldest(self, camera: _Camera) -> None:
        _, kept = self._cameras[camera].popitem(last=False)
        self._bytes -= kept.held
        if not self._cameras[camera]:
            del self._cameras[camera]


class Matcher(Generic[R, T]):
    """Brings references and reconstructions of the same frames together; bounded, aged, no clock.

    keep        of each kind at most; one more forgets the oldest of the camera that has the most, so that a camera
                that floods pushes out its own and nobody else's
    max_age     how long one waits for the other, seconds
    most_bytes  that those of each kind may hold; one always stays, however large
    """

    def __init__(self, keep: int, max_age: float, most_bytes: float = math.inf) -> None:
        self._max_age = max_age
        self._references = _Waiting[R](keep, most_bytes)
        self._reconstructions = _Waiting[T](keep, most_bytes)

    def reference(self, key: FrameKey, reference: R, now: float, held: int = 0) -> T | None:
        """A reference came; gives the reconstruction if that is here already, and forgets both. held: bytes of it"""
        met = self._reconstructions.take(key)
        if met is None:
            self._references.put(key, reference, now, held)
        return met

    def reconstruction(self, key: FrameKey, reconstruction: T, now: float, held: int = 0) -> R | None:
        """A reconstruction is done; gives the reference if that is here already, and forgets both. held: bytes of it"""
        met = self._references.take(key)
        if met is None:
            self._reconstructions.put(key, reconstruction, now, held)
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
    """The quality of one reconstruction. About 4 ms for 128x256, so not for the event loop.

    picture    float32 [3, rows, columns] in [0, 1] as decoded, not rounded to 8 bits
    reference  uint8 [rows, columns, 3]
    """
    truth = reference.transpose(2, 0, 1).astype(np.float32) / np.float32(255.0)
    ms_ssim = quality.ms_ssim(picture, truth) if with_ms_ssim else None
    return Figures(quality.psnr(picture, truth), ms_ssim)
