"""How long to wait before the next try."""

import random


class Backoff:
    """Exponential back-off with full jitter: uniform in [0, min(cap, first * 2^failures)].

    Full jitter keeps a fleet of cameras from coming back in step. Pure: the caller sleeps.
    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """

    def __init__(self, first: float, cap: float, rng: random.Random) -> None:
        """first, cap in seconds."""
        self._first, self._cap, self._rng = first, cap, rng
        self._failures = 0

    def next(self) -> float:
        """Seconds to wait after one more failure."""
        ceiling = min(self._cap, self._first * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return self._rng.uniform(0.0, ceiling)

    def reset(self) -> None:
        """After a success."""
        self._failures = 0
