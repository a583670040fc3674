"""Waiting in tests for what nobody announces."""

import asyncio
from collections.abc import Callable


async def eventually(condition: Callable[[], bool]) -> None:
    """Return as soon as the condition holds; TimeoutError after 5 seconds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 nobody tells
            await asyncio.sleep(0.005)
