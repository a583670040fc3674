"""Newest-only fan-out of decoded pairs inside the event loop."""

import asyncio
import weakref
from types import TracebackType
from typing import Self

from center.output.results import DecodedPair


class PairBroadcaster:
    """Gives decoded pairs to whoever watches; nobody who watches can slow it.

    A slow watcher misses pairs and never sees stale ones. A pair whose quality is measured afterwards is
    published a second time with the figures in it; if a newer one of its rig is out by then, only those who asked
    for late figures see it.
    All methods belong to the event loop's thread.
    """

    def __init__(self) -> None:
        self._latest: dict[str, DecodedPair] = {}
        self._watchers: weakref.WeakSet[Watcher] = weakref.WeakSet()

    def publish(self, pair: DecodedPair) -> None:
        """Show a pair to every watcher; a measured one that is older than what its rig has shown counts for its figures
        only. One without figures is new, even where its times say otherwise: the clock was set back."""
        shown = self._latest.get(pair.rig)
        stale = pair.measured and shown is not None and pair.moment < shown.moment
        if not stale:
            self._latest[pair.rig] = pair
        for watcher in list(self._watchers):
            watcher.offer(pair, stale)

    def forget(self, rig: str) -> None:
        """Drop what is known of a rig that went away."""
        self._latest.pop(rig, None)

    def rigs(self) -> list[str]:
        """Rigs that have shown something, by name."""
        return sorted(self._latest)

    def latest(self, rig: str) -> DecodedPair | None:
        """The newest pair of a rig."""
        return self._latest.get(rig)

    def watch(self, rig: str | None = None, *, late_figures: bool = False) -> "Watcher":
        """Pairs from now on, of one rig or of all: `async for pair in hub.watch("lab"): ...`.

        Leaving the loop is enough; `with hub.watch() as pairs:` also ends it for a reader in another task.
        """
        watcher = Watcher(rig, late_figures)
        self._watchers.add(watcher)
        return watcher

    def close(self) -> None:
        """End every watcher's loop."""
        for watcher in list(self._watchers):
            watcher.close()


class Watcher:
    """One reader's slots: the newest unread pair of each rig, and its newest late figures. An asynchronous iterator."""

    def __init__(self, rig: str | None, late_figures: bool = False) -> None:
        self._rig = rig
        self._late_figures = late_figures
        self._unread: dict[tuple[str, bool], DecodedPair] = {}
        self._news = asyncio.Event()
        self._closed = False

    def offer(self, pair: DecodedPair, stale: bool) -> None:
        """Replace what is unread of this rig. stale: a newer pair is out; this one matters for its figures only."""
        if self._closed or (self._rig is not None and pair.rig != self._rig) or (stale and not self._late_figures):
            return
        self._unread[pair.rig, stale] = pair
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
