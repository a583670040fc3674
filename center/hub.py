"""Newest-only fan-out of decoded pairs inside the event loop."""

import asyncio
import weakref
from types import TracebackType
from typing import Self

from center.results import DecodedPair


class Hub:
    """Gives decoded pairs to whoever watches; nobody who watches can slow it.

    A slow watcher misses pairs and never sees stale ones. A pair whose quality is measured afterwards is
    published a second time with the figures in it, unless a newer one of its rig is already out.
    All methods belong to the event loop's thread.
    """

    def __init__(self) -> None:
        self._latest: dict[str, DecodedPair] = {}
        self._watchers: weakref.WeakSet[Watcher] = weakref.WeakSet()

    def publish(self, pair: DecodedPair) -> None:
        """Show a pair to every watcher; one that is older than what its rig has shown is left out."""
        shown = self._latest.get(pair.rig)
        if shown is not None and _moment(pair) < _moment(shown):
            return
        self._latest[pair.rig] = pair
        for watcher in list(self._watchers):
            watcher.offer(pair)

    def forget(self, rig: str) -> None:
        """Drop what is known of a rig that went away."""
        self._latest.pop(rig, None)

    def rigs(self) -> list[str]:
        """Rigs that have shown something, by name."""
        return sorted(self._latest)

    def latest(self, rig: str) -> DecodedPair | None:
        """The newest pair of a rig."""
        return self._latest.get(rig)

    def watch(self, rig: str | None = None) -> "Watcher":
        """Pairs from now on, of one rig or of all: `async for pair in hub.watch("lab"): ...`.

        Leaving the loop is enough; `with hub.watch() as pairs:` also ends it for a reader in another task.
        """
        watcher = Watcher(rig)
        self._watchers.add(watcher)
        return watcher

    def close(self) -> None:
        """End every watcher's loop."""
        for watcher in list(self._watchers):
            watcher.close()


class Watcher:
    """One reader's slot: the newest unread pair of each rig. An asynchronous iterator."""

    def __init__(self, rig: str | None) -> None:
        self._rig = rig
        self._unread: dict[str, DecodedPair] = {}
        self._news = asyncio.Event()
        self._closed = False

    def offer(self, pair: DecodedPair) -> None:
        """Replace what is unread of this rig."""
        if self._closed or (self._rig is not None and pair.rig != self._rig):
            return
        self._unread[pair.rig] = pair
        self._news.set()

    def close(self) -> None:
        """End the iteration; what is unread is forgotten."""
        self._closed = True
        self._unread.clear()
        self._news.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> DecodedPair:
        await self._news.wait()
        if self._closed:
            raise StopAsyncIteration
        pair = self._unread.pop(next(iter(self._unread)))
        if not self._unread:
            self._news.clear()
        return pair

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _moment(pair: DecodedPair) -> tuple[int, int]:
    """Orders the pairs of one rig; instants of one batch are decoded at the same time."""
    return pair.decoded_at_ns, pair.captured_at_ns
