"""How a benchmark starts what it measures in a process of its own, and waits for it."""

import asyncio
import multiprocessing
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, Final

from deploy.local.process import ServiceProcess
from wire.runtime.errors import UserError
from wire.runtime.grpc_kit import healthy
from wire.security.keyring import NO_KEYS, Keyring

START_SECONDS: Final = 60.0

Serve = Callable[..., Coroutine[Any, Any, None]]


@contextmanager
def serving(serve: Serve, *arguments: Any) -> Iterator[tuple[int, Any]]:
    """Run a coroutine in a process of its own until the end of the block. Spawned: gRPC and fork do not agree.

    serve      gets the end of a pipe and the arguments; sends one thing when it serves, and never returns
    arguments  that can be pickled
    gives      its process id, and what it has sent
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_run, args=(serve, there, *arguments), daemon=True)
    process.start()
    there.close()  # so that the end of the process is the end of the pipe
    assert process.pid is not None
    try:
        yield process.pid, here.recv()
    finally:
        process.kill()  # what is measured has nothing to finish
        process.join()


def _run(serve: Serve, ready: Connection, *arguments: Any) -> None:
    asyncio.run(serve(ready, *arguments))


async def wait_until_ready(
    process: ServiceProcess, address: str, seconds: float = START_SECONDS, keys: Keyring = NO_KEYS
) -> None:
    """Return as soon as a service says that it is well.

    address  of its gRPC door
    seconds  that it may take
    raises   UserError with its last words if it ends, or takes longer
    """
    began = time.monotonic()
    while not await healthy(address, 1.0, keys):
        if process.exit_code() is not None or time.monotonic() - began > seconds:
            raise UserError("\n".join([f"the {process.name} did not become ready:", *process.last_words()]))
        await asyncio.sleep(0.1)
