"""Which pictures are encoded where encoding is slower than the camera: the same ones at both edges of a rig.

An edge that takes the newest picture whenever its encoder is free takes other pictures than the other edge does. The
center pairs frames of one instant, so most would be decoded alone. Hence slow edges choose by capture time, which
both share: of every two, four, eight ... ticks of the frame clock they encode the first picture. Powers of two nest: an
edge that encodes one in four meets each time one that encodes one in two.
"""

import math
import statistics
from collections import deque
from typing import Final

from edge.camera.frame_clock import FrameClock

WINDOW: Final = 11
"""Encodings of which the median counts: five slow ones in a row change nothing."""
COMFORTABLE: Final = 0.9
"""Of the time that there would be. Only an encoder that needs no more gets more pictures again."""
CALM_FIRST: Final = 32
CALM_MOST: Final = 4096
"""Encodings in a row that must have been comfortable for that; more after each time that it was too early."""
_EARLY: Final = 4
"""It was, if pictures have to become fewer within so many times that row."""
_DWELL: Final = 16
"""Ticks after which the border between ticks moves on."""
_BORDERS: Final = 7
_STRIDE: Final = 3
"""Places of the border, and how many it moves on. Not a power of two: groups of any size meet all of them."""


class Thinning:
    """Says which pictures to encode; no clock, no thread, no word to the other edge.

    factor  of so many ticks, the first picture is encoded: a power of two, 1 for every picture

    Where a tick ends and the next one begins must not be fixed. Two live cameras, 5 ms apart, may lie on two sides of
    any border; they would choose pictures that are nearly a period apart, and never pair. So the border moves: views
    that are apart by some part of a period, less than the half within which the center pairs, miss each other for that
    part of the time. Clips and drawn scenes are on the tick, where no border ever lies.

    The camera's thread may call `wanted` while another calls `encoded`: neither writes what the other one writes.
    """

    def __init__(self, fps: float) -> None:
        """fps: pictures a second that the camera is to give; the same at both edges."""
        self.factor = 1
        self._ticks = FrameClock(fps)
        self._chosen = 0
        self._seconds: deque[float] = deque(maxlen=WINDOW)
        self._calm, self._calm_needed, self._since_lowered = 0, CALM_FIRST, math.inf

    def wanted(self, captured_at_ns: int) -> bool:
        """Whether a picture is to be encoded. To be asked once for each that the camera gives, in their order.

        captured_at_ns: Unix time in nanoseconds
        """
        factor = self.factor
        first = self._first_tick(captured_at_ns, factor)
        set_back = first <= self._chosen - 2 * factor
        if first <= self._chosen and not set_back:
            return factor == 1
        self._chosen = first
        return True

    def encoded(self, seconds: float) -> bool:
        """A picture was encoded in so many seconds. returns whether the factor has changed"""
        self._seconds.append(seconds)
        self._since_lowered += 1
        if len(self._seconds) < WINDOW:
            return False
        load = self.encode_s / self._ticks.period_ns * 1e9
        if load > self.factor:
            early = self._since_lowered < _EARLY * self._calm_needed
            self._calm, self._calm_needed = 0, min(2 * self._calm_needed, CALM_MOST) if early else CALM_FIRST
            self.factor = 1 << (math.ceil(load) - 1).bit_length()
            return True
        is_calm = self.factor > 1 and load <= COMFORTABLE * self.factor / 2
        self._calm = self._calm + 1 if is_calm else 0
        if self._calm < self._calm_needed:
            return False
        self._calm, self._since_lowered = 0, 0
        self.factor //= 2
        return True

    @property
    def encode_s(self) -> float:
        """How long a picture takes of late, seconds."""
        return statistics.median(self._seconds)

    @property
    def highest_fps(self) -> float:
        """At how many pictures a second each would be encoded: in tenths, as it is for a person to set."""
        return max(0.1, math.floor(10.0 * COMFORTABLE / self.encode_s) / 10.0)

    def _first_tick(self, captured_at_ns: int, factor: int) -> int:
        """The first of the `factor` ticks to which a picture belongs; it begins up to a period before the tick."""
        following = self._ticks.at(captured_at_ns) + 1
        first = following - following % factor
        place = first // _DWELL * _STRIDE % _BORDERS
        begins = self._ticks.time_ns(first) - self._ticks.period_ns * (2 * place + 1) // (2 * _BORDERS)
        return first if captured_at_ns >= begins else first - factor
