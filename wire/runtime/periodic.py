"""Work that a service does every so often, for as long as it lives."""

import asyncio
import logging
from collections.abc import Callable

_log = logging.getLogger(__name__)


async def repeat(work: Callable[[], None], every: float, name: str) -> None:
    """Call `work` every `every` seconds until cancelled.

    A call that fails is told and the next one comes all the same: a background task that dies in silence takes with it
    what it was there for. The same failure again and again is told once.
    """
    told = ""
    while True:
        await asyncio.sleep(every)
        try:
            work()
        except Exception as error:  # whatever it is, the next call may work
            if told != (told := repr(error)):
                _log.exception("%s failed; it is tried again every %g s", name, every)
