"""A real RTSP camera for the tests: GStreamer's server, run by the system's Python, which has its bindings.

Prints its port, then obeys lines on stdin: `size ROWS COLUMNS` changes the resolution in mid-stream, `stall` keeps the
connection and sends nothing more.
"""

import argparse
import sys
import threading

import gi  # type: ignore[import-not-found]

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # type: ignore[import-not-found]  # noqa: E402

CAPS = "video/x-raw,width={columns},height={rows},framerate=25/1"
CODER = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=12"


class Camera:
    """One mount point `/cam`, one pipeline for everybody who watches."""

    def __init__(self, interlaced: bool, rows: int, columns: int, password: str) -> None:
        self._media = None
        server = GstRtspServer.RTSPServer(address="127.0.0.1", service="0")
        factory = GstRtspServer.RTSPMediaFactory(shared=True)
        source = f"videotestsrc is-live=true ! capsfilter name=size caps={CAPS.format(rows=rows, columns=columns)}"
        interlace, flag = ("! interlace field-pattern=1:1", "interlaced=true") if interlaced else ("", "")
        factory.set_launch(
            f"( {source} ! valve name=valve ! videoconvert {interlace} ! {CODER} {flag}"
            " ! rtph264pay name=pay0 pt=96 config-interval=1 )"
        )
        factory.connect("media-configure", self._configured)
        if password:
            self._lock(server, factory, password)
        server.get_mount_points().add_factory("/cam", factory)
        server.attach(None)
        self._server = server
        print(server.get_bound_port(), flush=True)

    def _lock(self, server: object, factory: object, password: str) -> None:
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "user")
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic("admin", password), token)
        server.set_auth(auth)  # type: ignore[attr-defined]
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("user", "media.factory.access", True)
        permissions.add_permission_for_role("user", "media.factory.construct", True)
        factory.set_permissions(permissions)  # type: ignore[attr-defined]

    def _configured(self, _factory: object, media: object) -> None:
        self._media = media  # type: ignore[assignment]

    def obey(self, words: list[str]) -> None:
        if self._media is None:
            return
        pipeline = self._media.get_element()
        if words[0] == "stall":
            pipeline.get_by_name("valve").set_property("drop", True)
        elif words[0] == "size":
            caps = Gst.Caps.from_string(CAPS.format(rows=words[1], columns=words[2]))
            pipeline.get_by_name("size").set_property("caps", caps)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--interlaced", action="store_true")
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--columns", type=int, default=512)
    parser.add_argument("--password", default="")
    given = parser.parse_args()
    Gst.init(None)
    camera = Camera(given.interlaced, given.rows, given.columns, given.password)
    loop = GLib.MainLoop()

    def listen() -> None:
        for line in sys.stdin:
            GLib.idle_add(camera.obey, line.split())
        loop.quit()  # whoever started us is gone

    threading.Thread(target=listen, daemon=True).start()
    loop.run()


if __name__ == "__main__":
    main()
