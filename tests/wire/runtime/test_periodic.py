"""Background work outlives its failures, which are counted, and told once."""

import asyncio
import itertools
import logging

import pytest

from wire.runtime.periodic import MOST_TOLD, repeat


async def run(failures: list[str | None]) -> int:
    """Work that fails with each line in turn, and is cancelled after the last. Returns how many were counted."""
    coming, done, counted = iter(failures), asyncio.Event(), itertools.count()

    def work() -> None:
        line = next(coming, "")
        if line == "":
            done.set()
        elif line is not None:
            raise ValueError(line)

    task = asyncio.create_task(repeat(work, 0.0, "sweeping", lambda: next(counted)))
    async with asyncio.timeout(20):
        await done.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return next(counted)


async def test_a_failure_is_counted_each_time_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        assert await run(["a", None, "a", "b", "a", "b"]) == 5
    told = [record.message for record in caplog.records]
    assert told == ["sweeping failed; it is tried again every 0 s, and not told again"] * 2


async def test_failures_that_differ_each_time_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        assert await run([str(number) for number in range(50)]) == 50
    assert len(caplog.records) == MOST_TOLD
