"""Work that a service does every so often, for as long as it lives."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

_log = logging.getLogger(__name__)

MOST_TOLD: Final = 8
"""Failures of one work that are told; all are counted."""


async def repeat(work: Callable[[], None], every: float, name: str, failed: Callable[[], object]) -> None:
    """Call `work` every `every` seconds until cancelled.

    A call that fails is counted and told, and the next one comes all the same: a background task that dies in silence
    takes with it what it was there for. What has been told is not told again.

    name    of the work, for the log
    failed  called after each failure, to count it
    """
    told: set[str] = set()
    while True:
        await asyncio.sleep(every)
        try:
            work()
        except Exception as error:  # whatever it is, the next call may work
            failed()
            if len(told) < MOST_TOLD and repr(error) not in told:
                told.add(repr(error))
                _log.exception("%s failed; it is tried again every %g s, and not told again", name, every)
