"""One camera of a rig: the stream that speaks for it, and what is known of it whatever streams come and go."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from center.ingest.camera_clock import CameraClock
from wire.contract.occupancy import Holder
from wire.geometry import DEFAULT_SIZE, PictureSize
from wire.views import View

if TYPE_CHECKING:
    from center.ingest.rig import Rig

_RATE_WINDOW: Final = 3.0

MOST_AT_ONCE: Final = 256
"""Frames that one camera may send within LEAST_SECONDS: 320 a second, where a Hello may name 240."""
LEAST_SECONDS: Final = 0.8


@dataclass(eq=False)
class Session:
    """One stream of one camera.

    end     called with a line when another stream takes its place
    drain   called with the reason why it is to leave, and after how many ms it may come again
    newest  highest sequence that came
    size    of its pictures
    """

    rig: "Rig"
    view: View
    boot_id: int
    clock: CameraClock
    end: Callable[[str], None]
    drain: Callable[[str, int], None]
    newest: int = 0
    size: PictureSize = DEFAULT_SIZE


@dataclass(eq=False)
class Camera:
    """What outlives a camera's streams. Times in seconds."""

    session: Session | None = None
    boot_id: int | None = None
    frame_rate: float = 0.0
    loop_s: float = 0.0
    heard_at: float = 0.0
    captured_at: float = -math.inf
    arrivals: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_AT_ONCE))
    clock: CameraClock | None = None

    def rate(self, now: float) -> float:
        """Frames per second over the last three seconds."""
        return sum(at > now - _RATE_WINDOW for at in self.arrivals) / _RATE_WINDOW

    @property
    def floods(self) -> bool:
        """Whether frames come faster than any camera takes pictures: what is refused, or late, gives its credit back at
        once, and 1,900 of those a second took half a core from the decoder."""
        return len(self.arrivals) == MOST_AT_ONCE and self.arrivals[-1] - self.arrivals[0] < LEAST_SECONDS

    def holder(self) -> Holder:
        """What the rule of occupancy asks of the stream that speaks for this camera."""
        return Holder(self.boot_id, self.frame_rate, self.heard_at)
