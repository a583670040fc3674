"""Network cameras, through FFmpeg."""

import socket
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import av
from av.error import (
    FFmpegError,
    HTTPClientError,
    HTTPForbiddenError,
    HTTPNotFoundError,
    HTTPServerError,
    HTTPUnauthorizedError,
    InvalidDataError,
)

from edge.camera.address import CameraAddress
from edge.camera.frame_clock import FrameRateLimiter
from edge.camera.sources.base import CameraRefused, Picture, SkippedFrame, Wanted, every_picture
from edge.camera.sources.decoding import PacketDecoder, Undecodable, to_picture, video_stream
from wire.runtime.errors import UserError, cause

if TYPE_CHECKING:
    from edge.camera.sources.decoding import VideoPacket

OPEN_SECONDS: Final = 5.0
_PROBE_SECONDS: Final = 2.0
_OPTIONS: Final = {
    "rtsp": {"rtsp_transport": "tcp", "fflags": "nobuffer"},  # UDP loses packets; FFmpeg's buffer is latency
    "rtsps": {"rtsp_transport": "tcp", "fflags": "nobuffer"},
    "http": {"http_proxy": "", "fflags": "nobuffer"},  # a camera is reached directly, whatever http_proxy says
    "https": {"http_proxy": "", "fflags": "nobuffer"},
}
_REFUSALS: Final[dict[type[Exception], str]] = {
    HTTPUnauthorizedError: "refuses the user name or password; set both in camera.url",
    HTTPForbiddenError: "forbids this user to watch; check the user's rights in the camera",
}


class NetworkCamera:
    """A camera with a pace of its own. Every frame is fetched, so that none waits in a buffer; at most `fps` go on."""

    patient = True
    loop_s = 0.0

    def __init__(
        self, address: CameraAddress, fps: float, delay_ms: float, stall_s: float, wanted: Wanted = every_picture
    ) -> None:
        """delay_ms: from the shutter to here, taken off the capture time; stall_s: longest silence, seconds."""
        self.name = f"camera {address.shown}"
        self._address, self._stall = address, stall_s
        self._delay_ns = round(delay_ms * 1e6)
        self._limiter, self._wanted = FrameRateLimiter(fps), wanted
        self._container: av.container.InputContainer | None = None
        self._packets: Iterator[VideoPacket] = iter(())
        self._decoder: PacketDecoder | None = None

    def open(self) -> None:
        """raises UserError with a line of its own for each thing that can be set right"""
        self.close()
        began = time.monotonic()
        try:
            self._container = av.open(
                self._address.url,
                options=_OPTIONS.get(self._address.scheme, {"fflags": "nobuffer"}),
                timeout=(OPEN_SECONDS, self._stall),
            )
        except (HTTPUnauthorizedError, HTTPForbiddenError) as error:
            raise CameraRefused(_REFUSALS[type(error)]) from None
        except (FFmpegError, OSError, ValueError) as error:  # their own text holds the password: never show it
            raise UserError(self._why(error, time.monotonic() - began)) from None
        stream = video_stream(self._container)
        if stream is None:
            self.close()
            raise UserError("sends no video; check the path in camera.url")
        self._decoder = PacketDecoder(stream, strict=False, live=True)
        self._packets = self._container.demux(stream)

    def next(self, stop: threading.Event) -> tuple[int, Picture] | None:
        while not stop.is_set():
            packet, arrived_at = self._receive()
            captured_at = arrived_at - self._delay_ns
            for frame in self._decode(packet):
                if self._limiter.accepts(captured_at / 1e9) and self._wanted(captured_at):
                    return captured_at, to_picture(frame)
        return None

    def close(self) -> None:
        self._packets, self._decoder = iter(()), None
        if self._container is not None:
            self._container.close()
            self._container = None

    def _receive(self) -> "tuple[VideoPacket, int]":
        """The next packet, and when it came (Unix time, ns)."""
        began = time.monotonic()
        try:
            packet = next(self._packets, None)
        except (FFmpegError, OSError):
            packet = None
        arrived_at = time.time_ns()
        if time.monotonic() - began >= self._stall:  # FFmpeg hands out an old frame then, which would seem new
            raise UserError(f"delivers no pictures for {self._stall:g} s; opening it again")
        if packet is not None and packet.size:
            return packet, arrived_at
        raise UserError("has ended the stream; opening it again")

    def _decode(self, packet: "VideoPacket") -> "list[av.VideoFrame]":
        if self._decoder is None:
            return []
        try:
            return self._decoder.decode(packet)
        except Undecodable:
            raise SkippedFrame(
                "decoding",
                f"{self.name}: sends frames that cannot be decoded; they are skipped until a whole one comes",
            ) from None

    def _why(self, error: Exception, seconds: float) -> str:
        """What is wrong with a camera that could not be opened within some seconds, without a word of its address
        beyond host and port."""
        if isinstance(error, HTTPNotFoundError):
            return "has no stream of that path; check the path in camera.url"
        if isinstance(error, HTTPClientError | HTTPServerError):
            return f"refuses the request ({error.strerror}); check the path in camera.url"
        if seconds >= OPEN_SECONDS:
            return self._unreachable() or "takes the connection, but says nothing; start the camera anew"
        if isinstance(error, InvalidDataError):
            return "answers, but not with a video stream; check port and path in camera.url"
        return self._unreachable() or "answers, but starts no stream; check scheme, port and path in camera.url"

    def _unreachable(self) -> str | None:
        """Why nobody can connect to the camera's port; None if one can, or if its scheme has no connections."""
        host, port = self._address.host.strip("[]"), self._address.port
        if port is None or self._address.scheme == "udp":
            return None
        try:
            socket.create_connection((host, port), timeout=_PROBE_SECONDS).close()
        except socket.gaierror:
            return f"no host is called {host}; check the host in camera.url"
        except ConnectionRefusedError:
            return f"nobody answers at port {port}; check the port in camera.url, and that the camera is on"
        except TimeoutError:
            return "no answer; check the host in camera.url, and that the camera is on and connected"
        except OSError as error:
            return f"cannot be reached ({cause(error)}); check the host in camera.url, and that the camera is on"
        return None
