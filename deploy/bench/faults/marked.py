"""Rigs whose pictures are marked, and a witness that checks every picture that is shown against its mark."""

from typing import Final

import numpy as np

from deploy.bench.watch import Sighting
from edge.camera.frame_clock import FrameClock
from edge.camera.sources.watermark import Mark, read
from wire.v1 import pair_service_pb2 as pairs_pb2
from wire.v1 import types_pb2
from wire.views import View

RIGS: Final = ("demo", "other")
SNR_DB: Final = 10.0


def environment(fps: float) -> dict[str, str]:
    """For every service of a drill: marked pictures at `fps`, equal links, every second picture measured.

    One thread decodes, so that a drill leaves a core to whatever else the machine does.
    """
    return {
        "VERGENCE_EDGE__CAMERA": f"{{kind: synthetic, fps: {fps:g}, watermark: true}}",
        "VERGENCE_EDGE__REFERENCE__EVERY": "2",
        "VERGENCE_EMULATOR__LINKS": "[]",
        "VERGENCE_EMULATOR__DEFAULTS__SNR_DB": f"{SNR_DB:g}",
        "VERGENCE_CENTER__QUALITY__METRIC": "psnr",
        "VERGENCE_CENTER__ENGINE__THREADS": "1",
    }


class Witness:
    """Looks at every picture of every pair, for `PairWatcher(address, witness.look)`.

    shown       pictures looked at, originals that came beside them included
    unreadable  of these, without a mark that its checksum confirms
    wrong       a line for each picture of another rig, view or instant than it was shown as
    """

    def __init__(self, fps: float) -> None:
        self._ticks = FrameClock(fps)
        self.shown = self.unreadable = 0
        self.wrong: list[str] = []

    def look(self, pair: pairs_pb2.WatchPairsResponse) -> None:
        """Check one message."""
        tick = self._ticks.nearest(pair.captured_at_ns)
        for result in pair.views:
            claimed = Mark.of(pair.rig, View.from_proto(result.view), tick)
            self._check(result.picture, claimed, "picture")
            if result.HasField("reference"):
                self._check(result.reference, claimed, "original")

    def _check(self, picture: types_pb2.Picture, claimed: Mark, kind: str) -> None:
        self.shown += 1
        found = read(np.frombuffer(picture.data, np.uint8).reshape(picture.height, picture.width, 3))
        if found is None:
            self.unreadable += 1
        elif found != claimed:
            self.wrong.append(f"the {kind} of {found} was shown as {claimed}")


def missed(sightings: list[Sighting], rig: str, fps: float, from_ns: int, to_ns: int) -> int:
    """Instants of a rig in a span of Unix time of which no pair was shown.

    sightings  that reach beyond the span
    """
    ticks = FrameClock(fps)
    shown = {ticks.nearest(each.captured_at_ns) for each in sightings if each.rig == rig and each.paired}
    return len(set(range(ticks.at(from_ns) + 1, ticks.at(to_ns) + 1)) - shown)


def alone(sightings: list[Sighting], rig: str, fps: float, from_ns: int, to_ns: int) -> int:
    """Of these instants, those of which one view was shown, or each by itself."""
    ticks = FrameClock(fps)
    paired, single = set[int](), set[int]()
    for each in sightings:
        if each.rig == rig:
            (paired if each.paired else single).add(ticks.nearest(each.captured_at_ns))
    return len((single - paired) & set(range(ticks.at(from_ns) + 1, ticks.at(to_ns) + 1)))
