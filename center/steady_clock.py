"""The center's clock: Unix time when it was made, and from then on as even as a stopwatch.

Patience, age budgets and silences are measured on it, so that setting the host's clock moves nothing: a step of two
seconds used to make every frame two seconds late, for as long as its camera stayed connected.
"""

import time
from collections.abc import Callable
from typing import Final

_NANO: Final = 1e9


class SteadyClock:
    """Monotonic seconds that begin at Unix time.

    monotonic, unix  where time comes from, seconds; tests bring their own
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, unix: Callable[[], float] = time.time) -> None:
        self._monotonic, self._unix = monotonic, unix
        self._began = unix() - monotonic()

    def now(self) -> float:
        """Seconds; never jumps, and runs on while the process is stopped."""
        return self._began + self._monotonic()

    @property
    def step(self) -> float:
        """By how much the host's clock has been set forward since the start, seconds; back is negative."""
        return self._unix() - self.now()

    def unix_ns(self, at: float) -> int:
        """A moment of this clock for others: Unix time in nanoseconds, by the host's clock as it is now."""
        return round((at + self.step) * _NANO)
