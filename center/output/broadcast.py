"""The one newest-only fan-out: decoded pairs to whoever watches, a program or a browser, inside the event loop.

A watcher holds at most one unread pair of each rig. Those who asked for late figures also hold, of each rig and view,
the newest measured pair that a newer one had made old before it was read. So nobody who watches can slow the center or
see an old picture as a new one, and what is kept for a watcher that never reads is bounded.
"""

import asyncio
import weakref
from types import TracebackType
from typing import Final, Self

from center.output.results import DecodedPair
from wire.views import View

MOST_RIGS: Final = 64


class PairBroadcaster:
    """Gives decoded pairs to every watcher. All methods belong to the event loop's thread.

    most_rigs  rigs that are kept, here and by each watcher; one more forgets the one that showed nothing for longest
    """

    def __init__(self, most_rigs: int = MOST_RIGS) -> None:
        self._most_rigs = most_rigs
        self._latest: dict[str, DecodedPair] = {}
        self._watchers: weakref.WeakSet[Watcher] = weakref.WeakSet()

    def publish(self, pair: DecodedPair) -> None:
        """Show a pair to every watcher.

        A pair whose quality is measured afterwards is published a second time with the figures in it; if a newer one
        of its rig is out by then, only those who asked for late figures see it.
        """
        outdated = self.is_outdated(pair)
        if not outdated:
            self._latest.pop(pair.rig, None)
            self._latest[pair.rig] = pair
            if len(self._latest) > self._most_rigs:
                self.forget(next(iter(self._latest)))
        for watcher in list(self._watchers):
            watcher.offer(pair, outdated)

    def is_outdated(self, pair: DecodedPair) -> bool:
        """Whether a newer pair of its rig is out, so that this one counts for its figures only.

        One without figures is always new, even where its times say otherwise: the clock was set back.
        """
        shown = self._latest.get(pair.rig)
        return pair.measured and shown is not None and pair.moment < shown.moment

    def forget(self, rig: str) -> None:
        """Drop what is known of a rig that went away, here and at every watcher."""
        self._latest.pop(rig, None)
        for watcher in list(self._watchers):
            watcher.forget(rig)

    def rigs(self) -> list[str]:
        """Rigs that have shown something, by name."""
        return sorted(self._latest)

    def latest(self, rig: str) -> DecodedPair | None:
        """The newest pair of a rig."""
        return self._latest.get(rig)

    def watch(self, rig: str | None = None, *, late_figures: bool = False, credit: int | None = None) -> "Watcher":
        """Pairs from now on: `async for pair in broadcaster.watch("lab"): ...`.

        Leaving the loop is enough; `with broadcaster.watch() as pairs:` also ends it for a reader in another task.

        rig           only this one; None is every rig
        late_figures  measured pairs too that are outdated by the time they come
        credit        pairs that are given before one has to be acknowledged; None is no limit
        """
        watcher = Watcher(rig, late_figures, credit)
        self._watchers.add(watcher)
        return watcher

    def close(self) -> None:
        """End every watcher's loop, once it has what is decoded already."""
        for watcher in list(self._watchers):
            watcher.finish()


class Watcher:
    """One reader's unread pairs and its credit; an asynchronous iterator. Arguments: `PairBroadcaster.watch`."""

    def __init__(self, rig: str | None, late_figures: bool = False, credit: int | None = None) -> None:
        self._rig = rig
        self._late_figures = late_figures
        self._credit = self._window = credit
        # By rig and view: measured pairs that were outdated before they were read; view None: the newest pair.
        self._unread: dict[tuple[str, View | None], DecodedPair] = {}
        self._readable, self._has_credit = asyncio.Event(), asyncio.Event()
        self._closed = False
        self._settle()

    def offer(self, pair: DecodedPair, outdated: bool) -> None:
        """Replace what is unread of this rig. outdated: a newer pair is out; this one counts for its figures only."""
        if self._closed or (self._rig is not None and pair.rig != self._rig):
            return
        late: DecodedPair | None = pair
        if not outdated:
            missed = self._unread.get((pair.rig, None))
            self._unread[pair.rig, None] = pair
            late = None if missed is None or missed.moment == pair.moment else missed
        if late is not None and self._late_figures:
            measured = [each.view for each in late.views if each.psnr_db is not None]
            self._unread.update({(pair.rig, view): late for view in measured})
        self._settle()

    def acknowledge(self) -> None:
        """The reader is done with one pair; a credit comes back."""
        if self._credit is not None and self._window is not None:
            self._credit = min(self._credit + 1, self._window)
        self._settle()

    async def wait(self) -> None:
        """Return as soon as there is something to `peek` at, or the iteration has ended."""
        await self._readable.wait()

    def peek(self) -> DecodedPair | None:
        """What the iteration would give at this moment; None where it would wait, or end."""
        return self._pick() if self._unread and self._readable.is_set() and self._credit != 0 else None

    async def wait_for_credit(self) -> None:
        """Return as soon as a pair may be given, or the watcher is closed."""
        await self._has_credit.wait()

    def forget(self, rig: str) -> None:
        """Drop what is unread of a rig."""
        for view in (None, *View):
            self._unread.pop((rig, view), None)
        self._settle()

    def finish(self) -> None:
        """End the iteration after what is unread, as far as there is credit for it: nothing new is taken.

        The last pairs of a center that stops were acknowledged to their cameras; they must not be lost on the way out.
        """
        self._closed = True
        self._settle()

    def close(self) -> None:
        """End the iteration; what is unread is forgotten."""
        self._unread.clear()
        self.finish()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> DecodedPair:
        await self._readable.wait()
        if not self._unread or self._credit == 0:  # it is readable all the same: closed
            raise StopAsyncIteration
        pair = self._pick()
        for slot in ((pair.rig, each) for each in (None, *View)):
            if self._unread.get(slot) is pair:
                del self._unread[slot]
        if self._credit is not None:
            self._credit -= 1
        self._settle()
        return pair

    def _pick(self) -> DecodedPair:
        """What has waited longest; of one rig's late figures the older first, so that a view's never go back."""
        rig, view = next(iter(self._unread))
        pair = self._unread[rig, view]
        if view is not None:
            late = [self._unread[rig, each] for each in View if (rig, each) in self._unread]
            pair = min(late, key=lambda each: each.moment)
        return pair

    def _settle(self) -> None:
        has_credit = self._closed or self._credit is None or self._credit > 0
        for event, is_set in (
            (self._has_credit, has_credit),
            (self._readable, self._closed or (has_credit and bool(self._unread))),
        ):
            if is_set:
                event.set()
            else:
                event.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
