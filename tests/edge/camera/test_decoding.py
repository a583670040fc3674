"""What a live camera's decoder does with data that arrives broken, by FFmpeg's own encoders."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from edge.camera.sources.decoding import PacketDecoder, Undecodable, to_picture, video_stream
from tests.edge.camera.clips import number, numbered, write_clip

COUNT, BROKEN = 40, 13


def textured() -> list[np.ndarray]:
    """So much to code that half of a frame's bytes are not all of the frame."""
    rng = np.random.default_rng(7)
    return [np.maximum(numbered(n), rng.integers(0, 30, (128, 256, 1)).astype(np.uint8)) for n in range(COUNT)]


def damaged(packet: Any, how: str) -> Any:
    """A packet of which the second half was lost, or of which nothing is left but its length."""
    content = bytes(packet)[: packet.size // 2] if how == "half" else bytes(packet.size)
    cut: Any = av.Packet(content)
    cut.stream, cut.pts, cut.dts, cut.time_base = packet.stream, packet.pts, packet.dts, packet.time_base
    return cut


@pytest.mark.parametrize(
    ("codec", "how"), [("libx264", "half"), ("mpeg2video", "half"), ("libx264", "all"), ("mpeg4", "all")]
)
def test_a_live_frame_that_is_damaged_is_noticed_and_nothing_is_shown_until_a_key_frame(
    codec: str, how: str, tmp_path: Path
) -> None:
    """Of half a frame decoders make something, and mark it; with zeros they fail."""
    path = write_clip(
        tmp_path / "a.ts", list(range(COUNT)), Fraction(1, 25), codec, b_frames=0, gop=10, pictures=textured()
    )
    shown: list[int] = []
    missed: list[int] = []
    keys: list[int] = []
    with av.open(str(path)) as container:
        stream = video_stream(container)
        assert stream is not None
        decoder = PacketDecoder(stream, strict=False, live=True)
        for index, packet in enumerate(container.demux(stream)):
            keys += [index] if packet.is_keyframe else []
            try:
                frames = decoder.decode(damaged(packet, how) if index == BROKEN else packet)
            except Undecodable:
                missed.append(index)
            else:
                shown += [number(to_picture(frame)) for frame in frames]
    again = next(key for key in keys if key > BROKEN + 1)
    assert shown == [*range(BROKEN), *range(again, COUNT)]
    assert missed == list(range(BROKEN, again))


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])  # the second one would show a guess
def test_a_live_stream_that_is_joined_between_key_frames_is_shown_from_the_next_one(codec: str, tmp_path: Path) -> None:
    path = write_clip(
        tmp_path / "a.ts", list(range(COUNT)), Fraction(1, 25), codec, b_frames=0, gop=10, pictures=textured()
    )
    with av.open(str(path)) as container:
        stream = video_stream(container)
        assert stream is not None
        decoder = PacketDecoder(stream, strict=False, live=True)
        joined = list(container.demux(stream))[5:]
        assert next(number(to_picture(frame)) for packet in joined for frame in decoder.decode(packet)) == 10
