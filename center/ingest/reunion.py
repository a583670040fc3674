"""When to ask a camera that is alone to come again: its other view may be at another center. No clock, no thread.

Where several centers share the rigs by a ring, both views of a rig find the same one as long as all clients know the
same centers. When centers are added, streams stay where they are; a view that reconnects alone goes where the ring
leads now. No center sees the others, but each sees a lone view: asked to come again, both go to where the ring leads.
"""

from typing import Final

REASON: Final = "the other view of this rig may be at another center"

LONGEST: Final = 600.0
"""Seconds; a camera whose partner is gone for good is asked ever more rarely."""


class Reunion:
    """Of one rig.

    after  seconds that a view is alone before it is asked, at first; 0 never asks
    """

    def __init__(self, after: float) -> None:
        self._after = self._wait = after
        self._since: float | None = None

    def is_due(self, connected: int, now: float) -> bool:
        """Whether the one view that is here is to be asked now.

        connected  views that are here
        now        seconds
        """
        if connected == 2 or not self._after:
            self._since, self._wait = None, self._after
            return False
        if self._since is None:
            self._since = now
        if connected == 0 or now - self._since < self._wait:
            return False
        self._since, self._wait = now, min(2.0 * self._wait, max(LONGEST, self._after))
        return True
