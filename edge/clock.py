"""How far the other side's clock is from ours."""

from collections import deque
from typing import Final

_REMEMBERED: Final = 8


class ClockOffset:
    """Estimates (their clock - ours) from question and answer; the sample with the shortest round trip wins.

    The error is at most half of that round trip. A handful of samples are kept, so that drift is followed.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[int, float]] = deque(maxlen=_REMEMBERED)

    def sample(self, sent_ns: int, received_ns: int, returned_ns: int) -> float:
        """One question and answer.

        sent_ns, returned_ns  our clock when the question left and the answer came, Unix time in nanoseconds
        received_ns           their clock when they got the question
        returns               the best estimate now, seconds; positive if their clock is ahead
        """
        round_trip = returned_ns - sent_ns
        self._samples.append((round_trip, (2 * received_ns - sent_ns - returned_ns) / 2e9))
        return min(self._samples)[1]
