"""Video files whose frames say their number, of the kinds that cameras and editors write."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

ROWS, COLUMNS, BITS = 128, 256, 8


def numbered(n: int) -> np.ndarray:
    """Eight bars, light where the number has a bit: survives any codec."""
    bars = [220 if n >> bit & 1 else 30 for bit in range(BITS)]
    return np.repeat(np.broadcast_to(np.array(bars, np.uint8)[None, :, None], (ROWS, BITS, 3)), COLUMNS // BITS, axis=1)


def number(picture: np.ndarray) -> int:
    middles = picture[ROWS // 2, COLUMNS // BITS // 2 :: COLUMNS // BITS, 1]
    return sum(1 << bit for bit, level in enumerate(middles) if level > 125)


def write_clip(
    path: Path,
    times: list[int],
    unit: Fraction,
    codec: str = "libx264",
    *,
    b_frames: int = 2,
    gop: int = 12,
    pictures: list[np.ndarray] | None = None,
    interlaced: bool = False,
) -> Path:
    """Frame n is shown from times[n] * unit on, seconds. The container goes by the suffix of `path`."""
    shown = pictures or [numbered(n) for n in range(len(times))]
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=round(1 / (unit * (times[1] - times[0]))))
        stream.height, stream.width = shown[0].shape[:2]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = unit
        stream.gop_size = 1 if codec == "mjpeg" else gop
        if codec != "mjpeg":
            stream.max_b_frames = b_frames
        if codec == "libx264":
            stream.options = {"preset": "ultrafast", "crf": "12", "bf": str(b_frames), "sc_threshold": "0"}
            if interlaced:
                stream.options |= {"flags": "+ildct+ilme", "x264-params": "tff=1"}
        for time, picture in zip(times, shown, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            if interlaced:
                frame = weave(picture[::2], picture[1::2])
            frame.pts, frame.time_base = time, unit
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def weave(upper: np.ndarray, lower: np.ndarray) -> av.VideoFrame:
    """Two fields, RGB [rows / 2, columns, 3], as one YUV 4:2:0 frame; each keeps its own colour, as cameras do it."""
    rows, columns = 2 * upper.shape[0], upper.shape[1]
    planes = [np.empty((rows >> shift, columns >> shift), np.uint8) for shift in (0, 1, 1)]
    for at, field in enumerate((upper, lower)):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(field), format="rgb24").reformat(format="yuv420p")
        flat = frame.to_ndarray().reshape(-1)
        start = 0
        for plane in planes:
            size = plane.size // 2
            plane[at::2] = flat[start : start + size].reshape(-1, plane.shape[1])
            start += size
    woven = np.concatenate([plane.reshape(-1) for plane in planes]).reshape(-1, columns)
    return av.VideoFrame.from_ndarray(woven, format="yuv420p")
