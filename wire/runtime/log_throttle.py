"""Logging that a stuck camera or link, or whoever knocks at a door, cannot flood."""

import logging
import time
from collections.abc import Callable
from typing import Final

INTERVAL_SECONDS: Final = 10.0


class Throttle:
    """One line per key and interval; the next one says how many were held back.

    Keys come from fixed lists: the table of keys is never cleaned. Threads that meet here may each write a line.
    """

    def __init__(
        self,
        log: logging.Logger,
        interval: float = INTERVAL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """interval in seconds."""
        self._log, self._interval, self._clock = log, interval, clock
        self._next: dict[str, float] = {}
        self._held: dict[str, int] = {}

    def warn(self, key: str, line: str, level: int = logging.WARNING) -> None:
        """Log `line` unless one of this key was logged within the interval."""
        now = self._clock()
        if now < self._next.get(key, now):
            self._held[key] = self._held.get(key, 0) + 1
            return
        held = self._held.pop(key, 0)
        self._next[key] = now + self._interval
        self._log.log(level, "%s%s", line, f" ({held} more like this)" if held else "")


class OnChange:
    """Logs a state when it changes, and not again while it stays."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._last: str | None = None

    def log(self, level: int, key: str, line: str) -> None:
        """Log `line` if `key` is not the last one."""
        if key != self._last:
            self._last = key
            self._log.log(level, "%s", line)
