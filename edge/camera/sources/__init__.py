"""Where pictures come from: clips and a drawn scene on the wall clock's beat, and live cameras."""

from edge.camera.frame_clock import FrameClock
from edge.camera.sources.base import Clocked, Picture, Source
from edge.camera.sources.folder import Folder
from edge.camera.sources.webcam import rtsp, webcam
from edge.camera.sources.synthetic import Synthetic
from edge.camera.sources.video import Video
from edge.config import CameraConfig, CameraKind
from wire.views import View

__all__ = ["Picture", "Source", "make"]


def make(camera: CameraConfig, view: View) -> Source:
    """The source that a configuration asks for, not opened yet.

    raises  UserError if a built-in clip is not installed
    """
    ticks = FrameClock(camera.fps)
    match camera.kind:
        case CameraKind.FOLDER:
            return Clocked(Folder(str(camera.path), view), ticks)
        case CameraKind.VIDEO:
            return Clocked(Video(str(camera.path)), ticks)
        case CameraKind.SYNTHETIC:
            return Clocked(Synthetic(view, ticks), ticks)
        case CameraKind.WEBCAM:
            return webcam(0 if camera.device is None else camera.device, camera.fps, camera.delay_ms or 0.0)
        case CameraKind.RTSP:
            return rtsp(str(camera.url), camera.fps, camera.delay_ms or 0.0)
