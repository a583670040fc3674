"""How far the other side's clock is from ours."""

import math
from collections import deque
from typing import Final

_REMEMBERED: Final = 8


class ClockOffset:
    """Estimates (their clock - ours) from question and answer; the sample with the shortest round trip wins.

    Half of that round trip is uncertain and is taken off: a Hello that waits on a busy machine makes no clock wrong.
    A handful of samples are kept, so that drift is followed.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED)

    def sample(self, sent_ns: int, received_ns: int, returned_ns: int) -> float:
        """One question and answer.

        sent_ns, returned_ns  our clock when the question left and the answer came, Unix time in nanoseconds
        received_ns           their clock when they got the question
        returns               by how much the clocks differ for certain, seconds; positive if theirs is ahead
        """
        round_trip = (returned_ns - sent_ns) / 1e9
        self._samples.append((round_trip, (2 * received_ns - sent_ns - returned_ns) / 2e9))
        shortest, offset = min(self._samples)
        return math.copysign(max(abs(offset) - shortest / 2, 0.0), offset)
