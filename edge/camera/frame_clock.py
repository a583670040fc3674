"""The beat that all cameras of a rig share, without talking to each other."""

from fractions import Fraction
from typing import Final

_SECOND: Final = 10**9


class FrameClock:
    """Tick k happens k / rate seconds after the Unix epoch.

    Two edges with equal clocks (one host, or NTP) agree on every tick, also after a restart, so the
    tick picks the picture of a clip and the frames that are referenced. Integers only: no drift.
    """

    def __init__(self, rate: float) -> None:
        """rate: ticks a second, 0.1 to 1000."""
        self._rate = Fraction(rate).limit_denominator(1001)

    def at(self, now_ns: int) -> int:
        """The last tick at or before a Unix time in nanoseconds."""
        return now_ns * self._rate.numerator // (self._rate.denominator * _SECOND)

    def nearest(self, time_ns: int) -> int:
        """The tick nearest to a Unix time in nanoseconds."""
        return self.at(time_ns + self.period_ns // 2)

    def after(self, now_ns: int, last: int | None) -> int:
        """The next tick to wait for; never `last` again, even if a timer woke us a moment early."""
        following = self.at(now_ns) + 1
        return following + 1 if following == last else following

    def time_ns(self, tick: int) -> int:
        """When a tick happens, Unix time in nanoseconds; `at(time_ns(k)) == k`."""
        return -(-tick * self._rate.denominator * _SECOND // self._rate.numerator)

    def seconds(self, tick: int) -> Fraction:
        """When a tick happens, Unix time in seconds, exactly."""
        return tick / self._rate

    @property
    def period_ns(self) -> int:
        """Nanoseconds between ticks."""
        return self._rate.denominator * _SECOND // self._rate.numerator


class FrameRateLimiter:
    """Lets through at most `rate` frames a second of a camera that delivers more; time is an argument."""

    def __init__(self, rate: float) -> None:
        self._period = 1.0 / rate
        self._due = float("-inf")

    def accepts(self, now: float) -> bool:
        """Whether the frame that came at `now` seconds goes on. Half a period early is early enough, and more than two
        are a clock that was set back."""
        if self._period / 2 < self._due - now <= 2 * self._period:
            return False
        astray = abs(now - self._due) > self._period
        self._due = (now if astray else self._due) + self._period
        return True
