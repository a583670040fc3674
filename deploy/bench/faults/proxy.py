"""A TCP proxy on loopback that delays, throttles, holds, corrupts, cuts: a bad network between two services."""

import asyncio
import random
import threading
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

_CHUNK: Final = 16_384
_QUEUE: Final = 64


@dataclass(slots=True)
class Weather:
    """What happens to the bytes in both directions; may be changed while they flow.

    delay      seconds that each chunk is late
    rate       bytes a second of each connection and direction; 0 is no limit
    corrupt    chance that one bit of a chunk of up to 16 kB is turned over
    held       nothing arrives and nobody is told, as with a cable that was pulled; what is held comes when it is over
    closed     new connections are closed at once
    """

    delay: float = 0.0
    rate: float = 0.0
    corrupt: float = 0.0
    held: bool = False
    closed: bool = False


class Proxy:
    """Between whoever connects to `address` and the server on a port. Works in a thread of its own; a context manager.

    connections  taken so far
    corrupted    bits turned over so far
    """

    def __init__(self, port: int, seed: int = 1) -> None:
        """port: of the server, on 127.0.0.1; seed: of the bits that are turned over."""
        self.weather = Weather()
        self.connections = self.corrupted = 0
        self.address = ""
        self._port, self._chance = port, random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        self._abandoned: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def cut(self) -> int:
        """Break off every connection, by a reset. returns how many streams of bytes that were"""
        broken: int = self._do(self._cut())
        return broken

    def abandon(self) -> None:
        """Nothing passes any more over the connections that are open, and nobody is told; new ones are as ever.

        So it is for a client when the host at the other end has lost its power and is back.
        """
        self._abandoned |= self._open

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Do it in the proxy's thread, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _cut(self) -> int:
        broken = len(self._open)
        for writer in list(self._open):
            writer.transport.abort()
        return broken

    async def _close(self) -> None:
        self._server.close()
        await self._cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.weather.closed:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:  # nobody listens: the client is to see the same
            writer.transport.abort()
            return
        self._open |= {writer, far_writer}
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._carry(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """One direction, in order, until either end closes."""
        late: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_QUEUE)
        sending = asyncio.create_task(self._deliver(late, sink))
        try:
            with suppress(OSError):
                while data := await source.read(_CHUNK):
                    await late.put((time.monotonic() + self.weather.delay, self._harm(data)))
            await late.put((0.0, b""))
            await sending
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            self._open.discard(sink)
            self._abandoned.discard(sink)

    async def _deliver(self, late: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while True:
                due, data = await late.get()
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                while self.weather.held or sink in self._abandoned:  # noqa: ASYNC110 any thread may change the weather
                    await asyncio.sleep(0.02)
                if not data:
                    sink.close()
                    return
                if self.weather.rate:
                    await asyncio.sleep(len(data) / self.weather.rate)
                sink.write(data)
                await sink.drain()

    def _harm(self, data: bytes) -> bytes:
        if self._chance.random() >= self.weather.corrupt:
            return data
        self.corrupted += 1
        harmed = bytearray(data)
        harmed[self._chance.randrange(len(harmed))] ^= 1 << self._chance.randrange(8)
        return bytes(harmed)
