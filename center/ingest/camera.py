"""One camera of a rig: the stream that speaks for it, and what is known of it whatever streams come and go."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from center.ingest.camera_clock import CameraClock
from wire.contract.occupancy import Holder
from wire.contract.pace import Pace
from wire.geometry import DEFAULT_SIZE, PictureSize
from wire.views import View

if TYPE_CHECKING:
    from center.ingest.rig import Rig


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
    pace: Pace = field(default_factory=Pace)
    clock: CameraClock | None = None

    def holder(self) -> Holder:
        """What the rule of occupancy asks of the stream that speaks for this camera."""
        return Holder(self.boot_id, self.frame_rate, self.heard_at)
