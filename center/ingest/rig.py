"""One rig: which stream speaks for which of its two cameras, and whether both fit together."""

import logging
import math
from collections import Counter
from typing import Any, Final

from center.decode.pairer import Outcome, Pairer
from center.decode.view_order import SWAPPED, ViewOrder
from center.ingest.agreement import REASONS, CameraFacts, disagreements
from center.ingest.camera import Camera, Session
from center.ingest.camera_clock import CameraClock
from center.ingest.frames import Frame
from center.ingest.reunion import Reunion
from wire.contract.handshake import Refusal, StreamRefused
from wire.contract.occupancy import silence_of, take_over
from wire.geometry import DEFAULT_SIZE, PictureSize
from wire.views import View

log = logging.getLogger(__name__)

USUAL_FRAME_RATE: Final = 30.0


class Rig:
    """Two cameras and their pairer. Times in seconds; tolerance None is half a frame period; reunite: `Reunion`.

    size  of the pictures of both; changes only while neither is connected
    """

    def __init__(
        self,
        name: str,
        tolerance: float | None,
        patience: float,
        silence: float,
        reunite: float = 0.0,
        size: PictureSize = DEFAULT_SIZE,
    ) -> None:
        self.name, self.size = name, size
        self._reunion = Reunion(reunite)
        self.tolerance = tolerance
        self._silence = silence
        self.cameras = {view: Camera() for view in View}
        self.pairer: Pairer[Frame] = Pairer(0.0, patience, silence)
        self.active_at = 0.0
        self.given_up_at = -math.inf
        """Capture time of the newest frame that waited for its partner in vain and was dropped for overload."""
        self.decoded = {"paired": 0, "single": 0}
        self.drops: Counter[str] = Counter()
        self._skew_told = False
        self._disagree: set[str] = set()
        self.view_order = ViewOrder()
        self._settle()

    def check(self, session: Session, now: float) -> Session | None:
        """Whether a stream may speak for its camera, by the rule of `wire.contract.occupancy`. Changes nothing.

        returns  the stream of the other view where that is in the way: it has pictures of another size, and fell
                 silent, as when its camera lost power. It has to go before this one comes
        raises   StreamRefused if another camera lives as this view, or the other view with pictures of another size
        """
        self._replaced(session, now)
        camera = self.cameras[session.view.other]
        other = camera.session
        if other is None or other.size == session.size:
            return None
        if now < camera.holder().silent_at(self._silence):
            raise StreamRefused(
                Refusal.SIZE,
                f"the {session.view} camera of rig {self.name} sends pictures of {session.size}, the {other.view} one"
                f" of {other.size}; set size of both edges alike",
            )
        return other

    def connect(self, session: Session, frame_rate: float, now: float, loop_s: float = 0.0) -> None:
        """A stream for which `check` found nothing in the way takes over its camera; one that it replaces is ended.

        raises  StreamRefused if another camera lives as this view
        """
        camera = self.cameras[session.view]
        if camera.session is not None and (line := self._replaced(session, now)):
            if camera.boot_id != session.boot_id:
                log.warning("rig %s: the %s camera was %s", self.name, session.view, line)
            camera.session.end(line)
        camera.heard_at, self.size = now, session.size
        restarted = camera.boot_id != session.boot_id
        camera.session, camera.boot_id, camera.clock = session, session.boot_id, session.clock
        camera.frame_rate, camera.loop_s = frame_rate, loop_s
        self.active_at = now
        self._skew_told = False
        self.view_order = ViewOrder()  # they may have been swapped back
        self._settle()
        self.pairer.connect(session.view, now, restarted)

    def known_clock(self, view: View, boot_id: int) -> CameraClock | None:
        """What is known of the clock of a camera that comes back; None for another start of it.

        What its new Hello says is not needed then, and may be false: on a machine that is too busy to breathe the Hello
        and the first frame may both be a second late, as if the clock were a second off.
        """
        camera = self.cameras[view]
        return camera.clock if camera.boot_id == boot_id else None

    def disconnect(self, session: Session, now: float) -> list[Outcome[Frame]]:
        """A stream ended; says nothing if another has taken its place."""
        camera = self.cameras[session.view]
        if camera.session is not session:
            return []
        camera.session = None
        self.active_at = now
        return self.pairer.disconnect(session.view)

    def check_agreement(self) -> dict[str, bool]:
        """Look whether both cameras take their pictures at the same moments; what has changed is logged.

        returns  by each of the reasons why they may not: whether it holds now
        """
        left, right = (self._facts(view) for view in View)
        found = {} if left is None or right is None else disagreements(left, right, self.pairer.tolerance)
        if self.view_order.swapped:
            found["swapped"] = SWAPPED
        for reason, line in found.items():
            if reason not in self._disagree:
                log.warning("rig %s: %s", self.name, line)
        if left is not None and right is not None:
            self._disagree = set(found)
        return {reason: reason in found for reason in REASONS}

    def heard_since(self, since: float) -> bool:
        """Whether a camera has said Hello, sent a frame or gone since then, seconds."""
        return self.active_at >= since or any(camera.heard_at >= since for camera in self.cameras.values())

    def to_reunite(self, now: float) -> Session | None:
        """The stream of a view that has been alone so long that it is to be asked to come again; None if there is none.

        To be called about once a second.
        """
        here = [camera.session for camera in self.cameras.values() if camera.session is not None]
        return here[0] if self._reunion.is_due(len(here), now) else None

    def between_instants(self, since: float) -> bool:
        """Whether the newest instant has come with both views, after a moment on our clock.

        The next one is then as far away as it can be: who asks both cameras to leave now parts no pair. True where one
        view is all there is.
        """
        cameras = self.cameras.values()
        if any(camera.session is None for camera in cameras):
            return True
        newest = [camera.captured_at for camera in cameras]
        return max(newest) - min(newest) <= self.pairer.tolerance and min(each.heard_at for each in cameras) > since

    def connected(self) -> list[View]:
        return [view for view, camera in self.cameras.items() if camera.session is not None]

    def retune(self, tolerance: float | None, patience: float) -> None:
        """Change tolerance and patience while frames flow, seconds."""
        self.tolerance, self.pairer.patience = tolerance, patience
        self._settle()

    def explain_skew(self) -> str:
        """One line on why frames come too late for their partners; logged once for each connection."""
        skew = self.pairer.skew
        if math.isnan(skew):
            return "the camera's clock went back; set it by NTP or PTP"
        slow = View.LEFT if skew > 0.0 else View.RIGHT
        line = (
            f"{slow} frames take {abs(skew):.2f} s longer to come than {slow.other} ones, {self.pairer.patience:.2f} s"
            " are waited for; raise pairing.patience_ms, set both clocks by NTP or PTP, or look at camera.delay_ms"
        )
        if abs(skew) > self.pairer.patience and not self._skew_told:
            self._skew_told = True
            log.warning("rig %s: %s", self.name, line)
        return line

    def status(self, now: float) -> dict[str, Any]:
        """What is known of the rig, as plain values."""
        instants = sum(self.decoded.values())
        return {
            "rig": self.name,
            "size": str(self.size),
            "symbols": self.size.symbols,
            "connected": [str(view) for view in self.connected()],
            "frame_rate": {str(view): round(camera.pace.rate(now), 1) for view, camera in self.cameras.items()},
            "decoded": dict(self.decoded),
            "single_share": self.decoded["single"] / instants if instants else 0.0,
            "drops": dict(self.drops),
            "skew_ms": self.pairer.skew * 1e3,
            "tolerance_ms": self.pairer.tolerance * 1e3,
            "disagree": sorted(self._disagree),
        }

    def _replaced(self, session: Session, now: float) -> str:
        """With which line the stream that a newcomer takes its camera from is to end; "" where there is none.

        raises  StreamRefused if another camera lives as this view
        """
        camera, view = self.cameras[session.view], f"{self.name}/{session.view}"
        if camera.session is None:
            return ""
        return take_over(view, camera.holder(), session.boot_id, now, self._silence)

    def _facts(self, view: View) -> CameraFacts | None:
        """What is known of a camera; None while it is not connected."""
        camera = self.cameras[view]
        if camera.session is None:
            return None
        return CameraFacts(camera.frame_rate, camera.loop_s, camera.session.clock.way)

    def _settle(self) -> None:
        """The tolerance is half a frame period of the faster camera, unless it is set; the slower one sets how long a
        camera may be silent."""
        rates = [camera.frame_rate for camera in self.cameras.values() if camera.frame_rate > 0.0]
        half_a_period = 0.5 / max(rates, default=USUAL_FRAME_RATE)
        self.pairer.tolerance = half_a_period if self.tolerance is None else self.tolerance
        self.pairer.silence = silence_of(self._silence, min(rates, default=0.0))
