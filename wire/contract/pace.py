"""How fast frames of a camera come, and when that is faster than any camera takes pictures. Pure; time is an argument.

A frame that is late, lost or refused gives its credit back at once, so credit does not hold up who sends nothing else:
1,900 of those a second took half a core from the decoder. Emulator and center hold a stream to the same pace.
"""

from collections import deque
from typing import Final

MOST_AT_ONCE: Final = 256
"""Frames that end a stream when they come within LEAST_SECONDS: 320 a second, where a Hello may name 240."""
LEAST_SECONDS: Final = 0.8

_RATE_WINDOW: Final = 3.0


class Pace:
    """When the last frames came, in seconds of any one clock."""

    def __init__(self) -> None:
        self._arrivals: deque[float] = deque(maxlen=MOST_AT_ONCE)

    def count(self, now: float) -> None:
        """A frame has come."""
        self._arrivals.append(now)

    def rate(self, now: float) -> float:
        """Frames per second over the last three seconds, or over the last MOST_AT_ONCE frames where those are fewer."""
        within = [at for at in self._arrivals if at > now - _RATE_WINDOW]
        if len(within) < MOST_AT_ONCE:
            return len(within) / _RATE_WINDOW
        return (MOST_AT_ONCE - 1) / max(within[-1] - within[0], 1e-3)

    def complaint(self) -> str:
        """Why the stream is to end, in one line for its sender; "" if it keeps to the pace."""
        if len(self._arrivals) < MOST_AT_ONCE or self._arrivals[-1] - self._arrivals[0] >= LEAST_SECONDS:
            return ""
        return f"{MOST_AT_ONCE} frames came within {LEAST_SECONDS:g} s; send fewer a second"
