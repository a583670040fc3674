"""Work that is done every so often outlives its failures, and tells of them."""

import asyncio
from contextlib import suppress

import pytest

from tests.waiting import eventually
from wire.runtime.periodic import repeat


async def test_work_that_fails_is_done_again_and_a_failure_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    fails = [None, "a", "a", "a", "b", None]
    done: list[str | None] = []

    def work() -> None:
        failure = fails[min(len(done), len(fails) - 1)]
        done.append(failure)
        if failure is not None:
            raise RuntimeError(failure)

    task = asyncio.create_task(repeat(work, 0.001, "sweep"))
    await eventually(lambda: len(done) > len(fails))
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled(), "it ends when it is told to"
    assert [record.getMessage() for record in caplog.records] == ["sweep failed; it is tried again every 0.001 s"] * 2
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["a", "b"]
