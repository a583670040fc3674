"""A place for one thing: a newer one pushes the older one out."""

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class NewestSlot(Generic[T]):
    """Holds the newest item only, so that a slow reader skips and never lags. For any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._item: T | None = None

    def put(self, item: T) -> T | None:
        """returns what was pushed out unread, if anything"""
        with self._lock:
            former, self._item = self._item, item
        return former

    def take(self) -> T | None:
        """The newest item, once; None if there is no new one."""
        with self._lock:
            item, self._item = self._item, None
        return item
