"""The decoder alone, without any server: what every system is compared with.

It has a process and a session of its own, as each server has. Linux shares the cores out by sessions (`autogroup`), so
in the driver's own, beside whatever else was started from that terminal, it would be slower than behind any server.
"""

import asyncio
import multiprocessing
import os
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

from benchmarks.peers.work import PairDecoder


class Bare:
    """Called as a peer is. It rests between calls as a server does: on a busy machine who rests is served sooner."""

    def __init__(self, codec: str, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, codec, threads), daemon=True)
        self._process.start()
        self._thread = ThreadPoolExecutor(1)

    async def __call__(self, request: bytes) -> bytes:
        """The pictures, as a peer gives them."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._ask, request)

    async def cpu_seconds(self) -> float:
        """That its process has used so far."""
        told = await asyncio.get_running_loop().run_in_executor(self._thread, self._ask, b"")
        return float(told)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.join()
        self._thread.shutdown()

    def _ask(self, request: bytes) -> bytes:
        self._pipe.send_bytes(request)
        return self._pipe.recv_bytes()


def _serve(pipe: Connection, codec: str, threads: int) -> None:
    """In the process: pictures for pairs, and the CPU time for nothing."""
    os.setsid()
    decoder = PairDecoder(codec, threads)
    while True:
        request = pipe.recv_bytes()
        pipe.send_bytes(decoder.decode([request])[0].tobytes() if request else str(time.process_time()).encode())
