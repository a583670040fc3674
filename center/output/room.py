"""Room for what is on its way to those who watch: so many bytes in all, however many watch and however slowly.

Each watcher has one pair on its way. Of 128x256 that is 0.4 MB with its references; of 512x1024 it is 6.3 MB, three
times in memory while it is sent, and 128 watchers who do not read would take more than a center may have.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

BYTES: Final = 48 * 2**20
"""Of pictures on their way to all watchers of a door, before they are packed: 128 pairs of 128x256 with their
references, or eight of 512x1024."""


SLOW_SECONDS: Final = 5.0
"""What is on its way for longer is set aside, as long as that has room too: who reads nothing holds up nobody else."""


class Room:
    """Bytes that may be taken at once; who finds no room waits in turn. Belongs to the event loop's thread.

    size  as many again may be set aside
    slow  seconds after which they are
    """

    def __init__(self, size: int = BYTES, slow: float = SLOW_SECONDS) -> None:
        self._size = self._free = self._free_aside = size
        self._slow = slow
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> Callable[[], None]:
        """Take so many bytes, or all there are if it is more; gives what ends that, which is to be called once."""
        size = min(size, self._size)
        await self._take(size)
        is_aside = False

        def set_aside() -> None:
            nonlocal is_aside
            if size <= self._free_aside:
                is_aside, self._free_aside = True, self._free_aside - size
                self._give(size)

        def end() -> None:
            timer.cancel()
            if is_aside:
                self._free_aside += size
            else:
                self._give(size)

        timer = asyncio.get_running_loop().call_later(self._slow, set_aside)
        return end

    @asynccontextmanager
    async def held(self, size: int) -> AsyncIterator[None]:
        """The same for as long as the block lasts."""
        end = await self.take(size)
        try:
            yield
        finally:
            end()

    async def _take(self, size: int) -> None:
        if not self._waiting and size <= self._free:
            self._free -= size
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give(size)  # it came in the same moment
            else:
                self._waiting = deque(each for each in self._waiting if each[1] is not turn)
                self._give(0)  # whoever is behind may fit
            raise

    def _give(self, size: int) -> None:
        self._free += size
        while self._waiting and self._waiting[0][0] <= self._free:
            wanted, turn = self._waiting.popleft()
            if not turn.done():
                self._free -= wanted
                turn.set_result(None)
