"""What a replay keeps until its figures come: the newest, bounded by number and by bytes."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

from center.record.backlog import Sized

K = TypeVar("K")
T = TypeVar("T", bound=Sized)


class Kept(Generic[K, T]):
    """The newest things by their keys. One that stands under several keys counts once for each.

    most        things at most
    most_bytes  that they hold together; the newest stays, however much that is
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._things: OrderedDict[K, T] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._things)

    def __iter__(self) -> Iterator[tuple[K, T]]:
        """Keys and things, the oldest first, as they are now."""
        return iter(list(self._things.items()))

    def put(self, key: K, thing: T) -> None:
        """Keep a thing as the newest, in place of what stood under its key."""
        self.take(key)
        self._things[key] = thing
        self._bytes += thing.nbytes
        while len(self._things) > self._most or (self._bytes > self._most_bytes and len(self._things) > 1):
            self.take(next(iter(self._things)))

    def get(self, key: K) -> T | None:
        return self._things.get(key)

    def take(self, key: K) -> T | None:
        """What stands under a key, which is not kept any longer."""
        thing = self._things.pop(key, None)
        if thing is not None:
            self._bytes -= thing.nbytes
        return thing
