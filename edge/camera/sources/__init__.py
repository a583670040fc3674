"""Where pictures come from: clips and a drawn scene on the wall clock's beat, and live cameras."""

from edge.camera.address import parse_address
from edge.camera.frame_clock import FrameClock
from edge.camera.framing import Framing
from edge.camera.sources.base import (
    CameraRefused,
    Clocked,
    Footage,
    Picture,
    SkippedFrame,
    Source,
    Wanted,
    every_picture,
)
from edge.camera.sources.folder import Folder
from edge.camera.sources.network import NetworkCamera
from edge.camera.sources.synthetic import Synthetic
from edge.camera.sources.video import Video
from edge.camera.sources.watermark import Watermarked
from edge.camera.sources.webcam import webcam
from edge.config import CameraConfig, CameraKind
from wire.views import View

__all__ = ["CameraRefused", "Picture", "SkippedFrame", "Source", "make"]


def make(
    camera: CameraConfig,
    view: View,
    rig: str = "demo",
    framing: Framing | None = None,
    wanted: Wanted = every_picture,
) -> Source:
    """The source that a configuration asks for, not opened yet.

    rig      whose camera it is, for its watermark
    framing  size of the pictures that are sent; without, 128x256. A drawn scene has any: where the first picture is to
             tell, the largest
    wanted   which of its pictures are of use
    raises   UserError if a built-in clip is not installed
    """
    framing = framing or Framing()
    match camera.kind:
        case CameraKind.WEBCAM:
            device = 0 if camera.device is None else camera.device
            return webcam(device, camera.fps, camera.delay_ms or 0.0, framing.fit, wanted)
        case CameraKind.RTSP:
            address = parse_address(str(camera.url))
            return NetworkCamera(address, camera.fps, camera.delay_ms or 0.0, camera.stall_s, wanted)
    ticks = FrameClock(camera.fps)
    footage: Footage
    match camera.kind:
        case CameraKind.FOLDER:
            footage = Folder(str(camera.path), view, framing.fit)
        case CameraKind.VIDEO:
            footage = Video(str(camera.path), ticks, framing.fit)
        case CameraKind.SYNTHETIC:
            footage = Synthetic(view, ticks, framing.size or framing.largest)
            if camera.watermark:
                footage = Watermarked(footage, rig, view)
    return Clocked(footage, ticks, delay_ms=camera.delay_ms or 0.0, fit=framing.fit, wanted=wanted)
