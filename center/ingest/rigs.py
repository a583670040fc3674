"""Who is connected: rigs, their cameras, and which stream speaks for a camera."""

import logging
import math
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from center.decode.pairer import Outcome, Pairer
from center.decode.view_order import SWAPPED, ViewOrder
from center.ingest.agreement import REASONS, CameraFacts, disagreements
from center.ingest.camera_clock import CameraClock
from center.ingest.frames import Frame
from center.ingest.reunion import Reunion
from wire.contract.handshake import Refusal, StreamRefused, check_name
from wire.contract.occupancy import Holder, silence_of, take_over
from wire.geometry import DEFAULT_SIZE, PictureSize
from wire.views import View

log = logging.getLogger(__name__)

USUAL_FRAME_RATE: Final = 30.0
_RATE_WINDOW: Final = 3.0


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
    arrivals: deque[float] = field(default_factory=lambda: deque(maxlen=256))
    clock: CameraClock | None = None

    def rate(self, now: float) -> float:
        """Frames per second over the last three seconds."""
        return sum(at > now - _RATE_WINDOW for at in self.arrivals) / _RATE_WINDOW

    def holder(self) -> Holder:
        """What the rule of occupancy asks of the stream that speaks for this camera."""
        return Holder(self.boot_id, self.frame_rate, self.heard_at)


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

    def connect(self, session: Session, frame_rate: float, now: float, loop_s: float = 0.0) -> None:
        """A stream takes over its camera by the rule of `wire.contract.occupancy`; a stream that it replaces is ended.

        raises  StreamRefused if another camera lives as this view, or the other view has pictures of another size
        """
        camera, other = self.cameras[session.view], self.cameras[session.view.other].session
        if other is not None and other.size != session.size:
            raise StreamRefused(
                Refusal.SIZE,
                f"the {session.view} camera of rig {self.name} sends pictures of {session.size}, the {other.view} one"
                f" of {other.size}; set size of both edges alike",
            )
        if camera.session is not None:
            line = take_over(f"{self.name}/{session.view}", camera.holder(), session.boot_id, now, self._silence)
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

    def in_the_way(self, view: View, size: PictureSize, now: float) -> Session | None:
        """The stream of the other view, if it has another size and fell silent: it may have lost power."""
        camera = self.cameras[view.other]
        differs = camera.session is not None and camera.session.size != size
        return camera.session if differs and now >= camera.holder().silent_at(self._silence) else None

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
            "frame_rate": {str(view): round(camera.rate(now), 1) for view, camera in self.cameras.items()},
            "decoded": dict(self.decoded),
            "single_share": self.decoded["single"] / instants if instants else 0.0,
            "drops": dict(self.drops),
            "skew_ms": self.pairer.skew * 1e3,
            "tolerance_ms": self.pairer.tolerance * 1e3,
            "disagree": sorted(self._disagree),
        }

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


class Rigs:
    """Every rig that is known, at most `most`; those of larger pictures count as several (`PictureSize.weight`), which
    bounds what all of them may hold."""

    def __init__(
        self, tolerance: float | None, patience: float, silence: float, most: int, reunite: float = 0.0
    ) -> None:
        self._tolerance, self._patience, self._silence, self._most = tolerance, patience, silence, most
        self._reunite = reunite
        self._rigs: dict[str, Rig] = {}

    def __iter__(self) -> Iterator[Rig]:
        return iter(list(self._rigs.values()))

    def get(self, name: str) -> Rig | None:
        return self._rigs.get(name)

    def admit(self, name: str, size: PictureSize = DEFAULT_SIZE) -> Rig:
        """The rig of this name, new if it has to be.

        size    of its pictures
        raises  StreamRefused if the name is no name, or there are too many rigs
        """
        check_name(name)
        rig = self._rigs.get(name)
        if rig is None or size.weight > rig.size.weight:
            self._check_room(size, sum(each.size.weight for each in self._rigs.values() if each is not rig))
        if rig is None:
            settings = self._tolerance, self._patience, self._silence, self._reunite
            rig = self._rigs[name] = Rig(name, *settings, size)
        return rig

    def _check_room(self, size: PictureSize, taken: int) -> None:
        """taken: as how many rigs the others count. raises StreamRefused (full)"""
        if taken + size.weight <= self._most:
            return
        raise StreamRefused(
            Refusal.FULL,
            f"{taken} of {self._most} rigs are known, and one of {size} counts as {size.weight}; raise links.max_rigs"
            " or use another center",
        )

    def change_pairing(self, tolerance: float | None, patience: float) -> None:
        """New tolerance and patience, seconds, for every rig from now on; tolerance None is half a frame period."""
        self._tolerance, self._patience = tolerance, patience
        for rig in self._rigs.values():
            rig.retune(tolerance, patience)

    def evict(self, now: float, idle: float) -> list[str]:
        """Forget rigs without a camera for `idle` seconds; gives their names."""
        gone = [rig.name for rig in self if not rig.connected() and now - rig.active_at >= idle]
        for name in gone:
            del self._rigs[name]
        return gone
