"""Batches that gave no pictures: told without filling the log, and when no further one will give any."""

import logging
import math
from typing import Final

from center.decode.engines import BatchLost
from wire.runtime.errors import one_line
from wire.runtime.log_throttle import Throttle

log = logging.getLogger(__name__)

IN_A_ROW: Final = 20
"""Batches on which the decoder fails, one after the other and over `LONG_ENOUGH`, before nothing more is hoped for."""

LONG_ENOUGH: Final = 10.0
"""Seconds from the first of a row. Memory that is short for a moment comes back by then."""

_LONGEST_REASON: Final = 200


class Failures:
    """Of one engine. No clock, no thread.

    A library may be broken for good: after one wrong address CUDA answers every call of a process with the same error.
    A center that goes on would be ready, take every frame and show nothing; in a new process it decodes again. A
    replica that is lost is no failure of that kind: Ray starts another.
    """

    def __init__(self) -> None:
        self.row = 0
        """Batches on which the decoder failed since the last one that it decoded."""
        self._since = math.inf  # when it failed first in this row
        self._throttle = Throttle(log)

    def add(self, error: Exception, pairs: int, now: float) -> None:
        """A batch of so many pairs gave none. now: seconds"""
        why = one_line(str(error) or type(error).__name__, _LONGEST_REASON)
        if isinstance(error, BatchLost):
            self._throttle.warn("lost", f"a batch of {pairs} is lost: {why}")
            return
        if not self.row:
            self._since = now
            log.error("the decoder failed on a batch of %d", pairs, exc_info=error)
        else:
            self._throttle.warn("failed", f"the decoder fails on every batch: {why}")
        self.row += 1

    def end_row(self) -> None:
        """A batch was decoded."""
        self.row, self._since = 0, math.inf

    def are_for_good(self, now: float) -> bool:
        """Whether no further batch can be hoped for. now: seconds"""
        return self.row >= IN_A_ROW and now - self._since >= LONG_ENOUGH
