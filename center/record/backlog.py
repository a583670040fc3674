"""What waits for the disk: bounded by number and by bytes."""

import threading
from collections import deque
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """Something whose memory is known. nbytes: what it holds, arrays and messages."""

    @property
    def nbytes(self) -> int: ...


T = TypeVar("T", bound=Sized)


class Backlog(Generic[T]):
    """First in, first out, between one thread that must not wait and one that may.

    most        things that wait at most
    most_bytes  that those hold together at most; where nothing waits, one of any size fits
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._items: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._filled = threading.Condition()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> bool:
        """Whether there was room for it; never waits for any."""
        held = item.nbytes
        with self._filled:
            if self._items and (len(self._items) >= self._most or self._bytes + held > self._most_bytes):
                return False
            self._items.append((item, held))
            self._bytes += held
            self._filled.notify()
        return True

    def get(self, timeout: float) -> T | None:
        """What has waited longest; None if nothing has come after `timeout` seconds."""
        with self._filled:
            if not self._filled.wait_for(lambda: self._items, timeout):
                return None
            item, held = self._items.popleft()
            self._bytes -= held
            return item
