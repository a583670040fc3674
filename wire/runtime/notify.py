"""What systemd hears of a service: that it is ready, that it leaves, and that its event loop still turns.

The protocol is one datagram to the socket in NOTIFY_SOCKET (man sd_notify); without systemd nothing happens.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Final

_MOST_SECONDS: Final = 0.1
"""A listener that does not read must not hold up the event loop, least of all by the word that it turns."""


def ready() -> None:
    """The service does its work from now on: `systemctl start` returns."""
    _tell("READY=1")


def stopping() -> None:
    """The service drains; it is not to be restarted for that."""
    _tell("STOPPING=1")


@contextlib.asynccontextmanager
async def watched() -> AsyncIterator[None]:
    """Tell the watchdog, at a third of its patience, that the event loop turns. A stuck loop is then restarted."""
    patience = watchdog_seconds(os.environ)
    beating = asyncio.create_task(_beat(patience / 3), name="watchdog") if patience else None
    try:
        yield
    finally:
        if beating is not None:
            beating.cancel()


def watchdog_seconds(environment: Mapping[str, str]) -> float:
    """The patience of systemd's watchdog with this process; 0 if there is none."""
    microseconds = environment.get("WATCHDOG_USEC", "")
    meant = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(microseconds) / 1e6 if meant and microseconds.isdigit() else 0.0


async def _beat(seconds: float) -> None:
    while True:
        _tell("WATCHDOG=1")
        await asyncio.sleep(seconds)


def _tell(state: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # Linux's abstract namespace
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.settimeout(_MOST_SECONDS)
        told.sendto(state.encode(), address)
