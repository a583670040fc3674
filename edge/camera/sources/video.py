"""A video file, looped at its true speed."""

import logging
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

import av
from av.error import FFmpegError

from edge.camera.frame_clock import FrameClock
from edge.camera.framing import Fit, fit
from edge.camera.sources.base import Picture, SkippedFrame
from edge.camera.sources.decoding import PacketDecoder, Undecodable, to_picture, video_stream
from edge.camera.sources.video_index import VideoIndex, read_index
from wire.runtime.errors import UserError

if TYPE_CHECKING:
    from edge.camera.sources.decoding import VideoPacket

_log = logging.getLogger("edge")
_STEP: Final = 30
"""So many frames are rather decoded than jumped over."""
_UNREADABLE: Final = (
    "cannot be read as a video (cut off, damaged, or without pictures); check it with ffprobe, or make it anew as MP4"
)


class Video:
    """Frames of one file. Tick k shows what a player would show k / rate seconds after it began to loop at the Unix
    epoch: the newest frame that has begun by then, whatever the rate of the file."""

    def __init__(self, path: str, ticks: FrameClock, fit: Fit = fit) -> None:
        """fit: brings pictures to the size that is sent; here it looks whether the first one is large enough."""
        self._fit = fit
        self._path = Path(path).expanduser()
        self._ticks = ticks
        self._index: VideoIndex | None = None
        self._reader: _Reader | None = None
        self._shown: tuple[int, Picture] | None = None
        self.name = f"video {self._path}"

    def open(self) -> None:
        """raises UserError if it is missing, holds no video or begins with a frame that cannot be shown"""
        if not self._path.is_file():
            raise UserError("there is no such file; set camera.path to a video")
        self.close()
        try:
            with av.open(str(self._path)) as container:
                self._index = read_index(container)
        except (FFmpegError, ValueError):
            self._index = None
        if self._index is None:
            raise UserError(_UNREADABLE)
        missing = self._index.promised - len(self._index.times)
        if missing > 0:
            _log.warning("%s: it ends early, %d of %d frames are missing", self.name, missing, self._index.promised)
        self._reader = self._start(self._index)

    def picture(self, tick: int) -> Picture:
        if self._index is None or self._reader is None:
            raise UserError(_UNREADABLE)
        number = self._index.at(self._ticks.seconds(tick))
        if self._shown is None or self._shown[0] != number:
            self._shown = None
            try:
                self._shown = number, to_picture(self._reader.frame(number))
            except Undecodable:
                seconds = float((self._index.times[number] - self._index.times[0]) * self._index.unit)
                line = f"{self.name}: its frame at {seconds:.2f} s cannot be decoded; such frames are skipped"
                raise SkippedFrame("decoding", line) from None
        return self._shown[1]

    def loop_s(self, ticks: FrameClock) -> float:
        return 0.0 if self._index is None else float(self._index.length * self._index.unit)

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._index = self._reader = self._shown = None

    def _start(self, index: VideoIndex) -> "_Reader":
        """A reader that can show the first frame. A decoder that calls every frame damaged is told to be lenient."""
        for strict in (True, False):
            reader = _Reader(str(self._path), index, strict)
            try:
                self._fit(to_picture(reader.frame(0)))
            except Undecodable:
                reader.close()
            except UserError:
                reader.close()
                raise
            else:
                return reader
        raise UserError(_UNREADABLE)


class _Reader:
    """Fetches frames by number: steps forward where that is near, jumps to a key frame where it is not."""

    def __init__(self, path: str, index: VideoIndex, strict: bool) -> None:
        self._path, self._index, self._strict = path, index, strict
        self._damaged: set[int] = set()
        self._last: tuple[int, av.VideoFrame] | None = None
        self._ahead: tuple[int, av.VideoFrame] | None = None
        self._open()

    def frame(self, number: int) -> "av.VideoFrame":
        """raises Undecodable"""
        wanted = self._index.times[number]
        if self._is_far(number):
            self._jump(self._index.key_before(number))
        elif self._last is not None and self._last[0] == wanted:
            return self._last[1]
        while (found := self._ahead or next(self._frames, None)) is not None:
            if found[0] > wanted:
                self._ahead = found
                break
            self._last, self._ahead = found, None
            if found[0] == wanted:
                return found[1]
        if self._last is None or wanted in self._damaged:
            raise Undecodable
        # A frame made of two fields may have a time stamp for each, and the second one shows nothing new.
        time, frame = self._last
        if not (frame.interlaced_frame and self._index.number(time) == number - 1):
            raise Undecodable
        return frame

    def close(self) -> None:
        self._container.close()

    def _is_far(self, number: int) -> bool:
        wanted = self._index.times[number]
        if self._last is None:
            return number > _STEP or self._ahead is not None
        if wanted <= self._last[0]:
            return wanted < self._last[0]
        return number - self._index.number(self._last[0]) > _STEP and self._key_time(number) > self._last[0]

    def _key_time(self, number: int) -> int:
        key = self._index.key_before(number)
        return self._index.key_frames[key].pts if key >= 0 else self._index.times[0]

    def _open(self) -> None:
        """Begin with the first packet."""
        try:
            self._container = av.open(self._path)
        except FFmpegError:
            raise UserError("cannot be read any more; check the file") from None
        stream = video_stream(self._container)
        if stream is None:
            raise UserError(_UNREADABLE)
        self._stream = stream
        self._decoder = PacketDecoder(stream, strict=self._strict, live=False)
        self._begin(self._container.demux(stream))

    def _begin(self, packets: "Iterator[VideoPacket]") -> None:
        self._frames = self._decode(packets)
        self._last = self._ahead = None

    def _jump(self, position: int) -> None:
        """Go on from a key frame. Where a jump ends is the container's guess, so packets are looked at: after one that
        went too far an earlier one is tried, and at last the file is read from its start."""
        for earlier in range(position, max(position - 3, -1), -1):
            start = self._index.key_frames[earlier]
            try:
                self._container.seek(start.pts if start.dts is None else start.dts, stream=self._stream)
            except FFmpegError:
                break
            self._decoder.restart()
            if (packets := self._from_key(position)) is not None:
                return self._begin(packets)
        self._container.close()
        self._open()
        if position > 0 and (packets := self._from_key(position)) is not None:
            self._begin(packets)
        return None

    def _from_key(self, position: int) -> "Iterator[VideoPacket] | None":
        """The packets from a key frame on; None if they are past it."""
        key = self._index.key_frames[position]
        packets = self._container.demux(self._stream)
        try:
            for packet in packets:
                if packet.size and packet.is_keyframe and packet.pts == key.pts:
                    return chain((packet,), packets)
                if packet.dts is not None and key.dts is not None and packet.dts > key.dts:
                    return None
        except FFmpegError:
            return None
        return None

    def _decode(self, packets: "Iterator[VideoPacket]") -> "Iterator[tuple[int, av.VideoFrame]]":
        """Presentation times and frames; those that cannot be decoded are missing."""
        counted = 0
        try:
            for packet in packets:
                try:
                    frames = self._decoder.decode(packet)
                except Undecodable:
                    if packet.pts is not None:
                        self._damaged.add(packet.pts)
                    continue
                for frame in frames:
                    if not self._index.key_frames:
                        yield counted, frame
                        counted += 1
                    elif frame.pts is not None:
                        yield frame.pts, frame
        except FFmpegError:  # a file that is cut off ends here
            return
