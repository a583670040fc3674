"""Waiting in tests for what nobody announces."""

import asyncio
import time
from collections.abc import Callable


async def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Return as soon as the condition holds; TimeoutError after `seconds`: long, for a busy machine."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 nobody tells
            await asyncio.sleep(0.005)


def wait_for(condition: Callable[[], object], seconds: float = 20.0) -> float:
    """The same where nothing else runs in this thread. returns seconds until it held; AssertionError after `seconds`"""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "it did not come about"
        time.sleep(0.02)
    return time.monotonic() - began
