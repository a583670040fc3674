"""Whether the two cameras of a rig can pair at all: their rates, their clips and their clocks. No clock, no thread.

Frames are paired by capture time, so a pair shows one moment only if both cameras take pictures at the same moments.
Cameras of unequal rates do so now and then, and clips of unequal length only until the shorter one starts over; the
pictures that come out look paired and are not.
"""

import math
from dataclasses import dataclass
from typing import Final

REASONS: Final = ("rate", "loop", "clock", "swapped")
"""Words for counters. The last comes from what is decoded: `view_order`."""

RATE_SLACK: Final = 0.01
"""Relative. Less is drift, which capture times tell."""

LOOP_SLACK: Final = 0.002
"""Seconds; the length of a clip travels in whole milliseconds."""


@dataclass(frozen=True, slots=True)
class CameraFacts:
    """What one camera says of itself, and what is seen of its clock.

    frame_rate  frames per second that it aims at; 0 if not known
    loop_s      seconds after which a recorded source starts over; 0 for one that does not
    way         shortest time from capture to here by the clock as it is believed, seconds; NaN if not known
    """

    frame_rate: float
    loop_s: float
    way: float


def disagreements(left: CameraFacts, right: CameraFacts, tolerance: float) -> dict[str, str]:
    """Why frames that are paired may show different moments: by a word for counters, a line for a person.

    tolerance  largest distance of two capture times of a pair, seconds
    """
    found: dict[str, str] = {}
    rates = (left.frame_rate, right.frame_rate)
    if min(rates) > 0.0 and abs(rates[0] - rates[1]) > RATE_SLACK * max(rates):
        found["rate"] = (
            f"the left camera sends {rates[0]:g} frames a second, the right one {rates[1]:g}: many frames have no"
            " partner of their moment; set camera.fps alike"
        )
    if (left.loop_s > 0.0) != (right.loop_s > 0.0) or abs(left.loop_s - right.loop_s) > LOOP_SLACK:
        found["loop"] = (
            f"the left clip starts over after {left.loop_s:g} s, the right one after {right.loop_s:g} s (0: never):"
            " pairs show different moments; give both cameras clips of one length"
        )
    apart = left.way - right.way
    if not math.isnan(apart) and abs(apart) > tolerance:
        found["clock"] = (
            f"the cameras' clocks, or the shortest ways from them, differ by {abs(apart) * 1e3:.0f} ms, more than the"
            f" {tolerance * 1e3:.0f} ms within which frames are paired: neighbouring moments pass for one; set both"
            " clocks by NTP or PTP, or camera.delay_ms"
        )
    return found
