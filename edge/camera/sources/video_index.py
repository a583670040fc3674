"""Which frame a video file shows at which moment: read off once from its time stamps, never changed."""

from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from statistics import median_low
from typing import NamedTuple

import av

from edge.camera.sources.decoding import video_stream


class KeyFrame(NamedTuple):
    """Where decoding can begin. Both in units of the stream's time base."""

    pts: int
    dts: int | None


@dataclass(frozen=True)
class VideoIndex:
    """The frames of one video stream by presentation time.

    times      presentation times in units of `unit`, rising
    unit       seconds
    length     of one loop, in units: to the end of the last frame
    key_frames in the order of presentation; none if the file has no time stamps, and frames are counted from its start
    promised   how many frames the file says that it has, 0 if it does not say
    """

    times: tuple[int, ...]
    unit: Fraction
    length: int
    key_frames: tuple[KeyFrame, ...]
    promised: int

    def at(self, seconds: Fraction) -> int:
        """Number of the frame that is shown `seconds` after some loop began: the newest that has begun by then.

        Time stamps are rounded to `unit`, so a frame counts as begun half a unit early.
        """
        return self.number(seconds / self.unit % self.length + self.times[0] + Fraction(1, 2))

    def number(self, time: int | Fraction) -> int:
        """Of the newest frame that has begun by a presentation time."""
        return max(0, bisect_right(self.times, time) - 1)

    def key_before(self, number: int) -> int:
        """Position in `key_frames` of the last one at or before a frame; -1 if there is none."""
        return bisect_right(self.key_frames, self.times[number], key=lambda key: key.pts) - 1


def read_index(container: "av.container.InputContainer") -> VideoIndex | None:
    """Go through all packets of a file that was just opened; None if it has no pictures.

    A file whose packets lack presentation times (raw streams, AVI with B-frames) is decoded once to count its frames,
    which then follow each other at the file's rate.
    """
    stream = video_stream(container)
    if stream is None:
        return None
    if container.format.name == "avi" and stream.codec_context.has_b_frames:
        return _count(container.name)  # AVI stores no order of presentation, so what FFmpeg tells is a guess
    stamped: dict[int, int] = {}
    keys: list[KeyFrame] = []
    for packet in container.demux(stream):
        if not packet.size or packet.is_discard or not (keys or packet.is_keyframe):
            continue
        if packet.pts is None:
            return _count(container.name)
        stamped.setdefault(packet.pts, packet.duration or 0)
        if packet.is_keyframe:
            keys.append(KeyFrame(packet.pts, packet.dts))
    if not stamped or not keys or stream.time_base is None:
        return None
    keys.sort()
    times = sorted(time for time in stamped if time >= keys[0].pts)
    last = stamped[times[-1]] or _typical_gap(times)
    return VideoIndex(tuple(times), stream.time_base, times[-1] - times[0] + max(1, last), tuple(keys), stream.frames)


def _typical_gap(times: list[int]) -> int:
    return median_low([after - before for before, after in pairwise(times)] or [0])


def _count(name: str) -> VideoIndex | None:
    with av.open(name) as again:
        stream = video_stream(again)
        if stream is None:
            return None
        count = sum(1 for _ in again.decode(stream))
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    return VideoIndex(tuple(range(count)), 1 / rate, count, (), count) if count else None
