"""Network cameras against a real RTSP server on loopback, where GStreamer's is installed."""

import contextlib
import io
import logging
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge.camera.address import parse_address
from edge.camera.capture import Camera
from edge.camera.sources.base import CameraRefused, Picture, SkippedFrame
from edge.camera.sources.network import NetworkCamera
from edge.metrics import Metrics
from tests.edge.camera.clips import number, numbered, write_clip
from tests.edge.conftest import counted
from tests.waiting import wait_for
from wire.runtime.errors import UserError

PYTHON = "/usr/bin/python3"
SERVER = Path(__file__).with_name("rtsp_server.py")
NEEDED = "apt-get install python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-{base,good,ugly}"
PROBE = (
    "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import Gst, GstRtspServer;"
    "Gst.init(None);"
    "assert all(Gst.ElementFactory.find(n) for n in ('x264enc', 'rtph264pay', 'videotestsrc', 'interlace', 'valve'))"
)


@dataclass
class Server:
    """A camera that runs, and a hand on it."""

    port: int
    process: "subprocess.Popen[str]"

    def url(self, login: str = "", path: str = "/cam") -> str:
        return f"rtsp://{login}127.0.0.1:{self.port}{path}"

    def say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()


@pytest.fixture(scope="session")
def _gstreamer() -> None:
    try:
        found = subprocess.run([PYTHON, "-c", PROBE], capture_output=True, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        found = False
    if not found:
        pytest.skip(f"no RTSP server here: network cameras stay untested ({NEEDED})")


@pytest.fixture
def serve(_gstreamer: None) -> Iterator[Callable[..., Server]]:
    """Starts servers, and ends them after the test."""
    with contextlib.ExitStack() as ends:

        def start(*options: str) -> Server:
            process = subprocess.Popen(
                [PYTHON, str(SERVER), *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            ends.callback(end, process)
            assert process.stdout is not None
            return Server(int(process.stdout.readline()), process)

        yield start


def end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    with process:
        process.wait(10)


def camera(url: str, stall_s: float = 2.0) -> NetworkCamera:
    return NetworkCamera(parse_address(url), fps=240, delay_ms=0, stall_s=stall_s)


def picture_of(source: NetworkCamera) -> Picture:
    taken = source.next(threading.Event())
    assert taken is not None
    return taken[1]


def watch(source: NetworkCamera) -> None:
    """Until it fails."""
    while True:
        picture_of(source)


@contextlib.contextmanager
def running(source: NetworkCamera, silence_s: float = 2.0) -> Iterator[tuple[Camera, Metrics]]:
    metrics = Metrics("demo", "left")
    made = Camera(source, metrics, lambda: None, lambda: None, silence_s=silence_s)
    made.start()
    try:
        yield made, metrics
    finally:
        made.stop()


# GStreamer's test picture: white, yellow, cyan, green, magenta, red and blue in its upper two thirds
BARS = np.array([(1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1)]) * 255


@pytest.mark.parametrize("options", [[], ["--interlaced"]])
def test_the_picture_of_a_camera_arrives_as_it_is(options: list[str], serve: Callable[..., Server]) -> None:
    """The interlaced one came out black, or as memory that nobody had written."""
    source = camera(serve(*options).url())
    source.open()
    pictures = [picture_of(source) for _ in range(3)]
    source.close()
    for picture in pictures:
        assert picture.shape == (256, 512, 3)
        middles = picture[60, 512 * np.arange(7) // 7 + 36]
        np.testing.assert_allclose(middles.astype(int), BARS, atol=16)


def test_a_camera_that_changes_its_resolution_is_framed_anew(serve: Callable[..., Server]) -> None:
    """4:3 after 2:1: cropped above and below, not squeezed; the bars keep their places."""
    server = serve()
    seen: list[Picture] = []

    def is_white(capture: Camera) -> bool:
        """Whether row 90 shows the bars, which end at row 85 of a 2:1 picture and at row 96 of a cropped 4:3 one."""
        shot = capture.take()
        if shot is not None:
            seen.append(shot.picture)
        return bool(seen) and seen[-1][90, 18].min() > 200

    with running(camera(server.url())) as (capture, metrics):
        wait_for(lambda: counted(metrics, "captured_frames_total") > 5)
        assert not is_white(capture)
        server.say("size 600 800")
        wait_for(lambda: is_white(capture))
        assert counted(metrics, "camera_failures_total") == 0
    assert all(picture.shape == (128, 256, 3) for picture in seen)


def test_a_camera_that_stalls_is_down_in_time_and_comes_back(
    serve: Callable[..., Server], caplog: pytest.LogCaptureFixture
) -> None:
    server = serve()
    with running(camera(server.url())) as (_, metrics):
        wait_for(lambda: counted(metrics, "camera_up") == 1)
        server.process.send_signal(signal.SIGSTOP)
        assert wait_for(lambda: counted(metrics, "camera_up") == 0) < 2.0 + 8.0
        server.process.send_signal(signal.SIGCONT)
        wait_for(lambda: counted(metrics, "camera_up") == 1)
    assert any("delivers no pictures for 2 s" in line or "no picture for 2.0 s" in line for line in caplog.messages)


def test_a_camera_that_sends_nothing_more_is_down_in_time(serve: Callable[..., Server]) -> None:
    server = serve()
    source = camera(server.url())
    source.open()
    picture_of(source)
    server.say("stall")
    began = time.monotonic()
    with pytest.raises(UserError, match="delivers no pictures for 2 s; opening it again"):
        watch(source)
    assert time.monotonic() - began < 2.0 + 8.0
    source.close()


def test_a_camera_that_is_killed_is_told_once_and_waited_for(
    serve: Callable[..., Server], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve()
    with running(camera(server.url())) as (_, metrics):
        wait_for(lambda: counted(metrics, "camera_up") == 1)
        end(server.process)
        wait_for(lambda: counted(metrics, "camera_up") == 0)
        wait_for(lambda: counted(metrics, "camera_failures_total") >= 4)
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    name = f"camera rtsp://127.0.0.1:{server.port}"
    assert (
        lines[-1]
        == f"{name}: nobody answers at port {server.port}; check the port in camera.url, and that the camera is on"
    )
    assert len(lines) == len(set(lines)) <= 2
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("login", ["", "admin:wrong@", "nobody:pa#s/s@w@"])
def test_a_wrong_password_has_its_own_line(login: str, serve: Callable[..., Server]) -> None:
    source = camera(serve("--password", "pa#s/s@w").url(login))
    with pytest.raises(CameraRefused, match=r"^refuses the user name or password; set both in camera\.url$"):
        source.open()
    assert "wrong" not in source.name


def test_a_password_of_any_letters_works_as_it_is(serve: Callable[..., Server]) -> None:
    source = camera(serve("--password", "pa#s/s@w").url("admin:pa#s/s@w@"))
    source.open()
    assert picture_of(source).shape == (256, 512, 3)
    source.close()


def test_a_wrong_path_has_its_own_line(serve: Callable[..., Server]) -> None:
    with pytest.raises(UserError, match=r"^has no stream of that path; check the path in camera\.url$"):
        camera(serve().url(path="/none")).open()


@pytest.mark.parametrize(
    ("url", "line"),
    [
        (
            "rtsp://u:hush@no-such-host.invalid/s",
            "no host is called no-such-host.invalid; check the host in camera.url",
        ),
        ("rtsp://u:hush@127.0.0.1:1/s", "nobody answers at port 1; check the port in camera.url, and that the camera"),
    ],
)
def test_a_wrong_host_or_port_has_its_own_line_without_the_password(
    url: str, line: str, capfd: pytest.CaptureFixture[str]
) -> None:
    source = camera(url)
    with pytest.raises(UserError, match="^" + re.escape(line)) as problem:
        source.open()
    assert source.patient
    assert "hush" not in str(problem.value) + source.name
    assert capfd.readouterr() == ("", "")


def test_something_else_on_the_port_is_not_taken_for_a_camera() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    connection.recv(1000)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno")
                    connection.close()

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(UserError, match=r"^answers, but"):
            camera(f"rtsp://127.0.0.1:{listener.getsockname()[1]}/s").open()
        with pytest.raises(UserError, match=r"^answers, but"):
            camera(f"http://127.0.0.1:{listener.getsockname()[1]}/s").open()
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def motion_jpeg() -> Iterator[str]:
    """The address of a camera that sends JPEGs over HTTP, one after the other, as many do."""
    jpeg = io.BytesIO()
    Image.fromarray(np.full((128, 256, 3), (200, 60, 40), np.uint8)).save(jpeg, "JPEG")

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
            self.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(b"--next\r\nContent-Type: image/jpeg\r\n")
                    self.wfile.write(
                        f"Content-Length: {len(jpeg.getvalue())}\r\n\r\n".encode() + jpeg.getvalue() + b"\r\n"
                    )
                    time.sleep(0.02)

        def log_message(self, *arguments: object) -> None:
            """Nothing on the screen."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://admin:hush@127.0.0.1:{server.server_port}/video.mjpg"
        server.shutdown()


def test_a_camera_that_speaks_http_is_reached_past_a_proxy(motion_jpeg: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    source = camera(motion_jpeg)
    source.open()
    np.testing.assert_allclose(picture_of(source)[64, 128], (200, 60, 40), atol=4)
    source.close()


def test_a_camera_s_own_delay_is_taken_off_the_capture_time(motion_jpeg: str) -> None:
    source = NetworkCamera(parse_address(motion_jpeg), fps=240, delay_ms=9_000, stall_s=2.0)
    source.open()
    taken = source.next(threading.Event())
    source.close()
    assert taken is not None
    assert 9.0 <= time.time() - taken[0] / 1e9 < 20.0


def test_a_picture_that_nobody_wants_is_passed_over(motion_jpeg: str) -> None:
    asked: list[int] = []

    def the_third(captured_at_ns: int) -> bool:
        asked.append(captured_at_ns)
        return len(asked) == 3

    source = NetworkCamera(parse_address(motion_jpeg), fps=240, delay_ms=0, stall_s=2.0, wanted=the_third)
    source.open()
    taken = source.next(threading.Event())
    source.close()
    assert taken is not None
    assert taken[0] == asked[2]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_proxy_is_asked_for_a_camera(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy, socket.create_server(("127.0.0.1", 0)) as listener:
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        monkeypatch.delenv("no_proxy", raising=False)
        asked: list[str] = []

        def answer(name: str, server: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while True:
                    server.accept()[0].close()
                    asked.append(name)

        for name, server in (("proxy", proxy), ("camera", listener)):
            threading.Thread(target=answer, args=(name, server), daemon=True).start()
        with pytest.raises(UserError):
            camera(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/v").open()
        wait_for(lambda: "camera" in asked)
        assert "proxy" not in asked
        for server in (proxy, listener):
            server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def damaged_film(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """A camera over HTTP that sends a film of 90 numbered frames, damaged in its middle; the number of its frames."""
    rng = np.random.default_rng(7)
    frames = [np.maximum(numbered(n), rng.integers(0, 30, (128, 256, 1)).astype(np.uint8)) for n in range(90)]
    path = write_clip(tmp_path / "a.ts", list(range(90)), Fraction(1, 25), b_frames=0, gop=10, pictures=frames)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 4_000] = rng.bytes(4_000)

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "video/mp2t")
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            """Nothing on the screen."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/film.ts", len(frames)
        server.shutdown()


def test_damage_on_the_way_is_told_and_what_follows_it_is_not_shown(damaged_film: tuple[str, int]) -> None:
    url, count = damaged_film
    source = NetworkCamera(parse_address(url), fps=1e6, delay_ms=0, stall_s=5.0)
    source.open()
    shown: list[int] = []
    told: list[str] = []

    def watch_on() -> None:
        while True:
            try:
                shown.append(number(picture_of(source)))
            except SkippedFrame as skipped:
                told.append(str(skipped))

    with pytest.raises(UserError, match="has ended the stream"):
        watch_on()
    source.close()
    assert told
    assert set(told) == {
        f"{source.name}: sends frames that cannot be decoded; they are skipped until a whole one comes"
    }
    assert shown == sorted(set(shown))
    assert shown[-1] == count - 1, "with the next key frame it goes on"
    assert len(shown) < count - shown[0], "the first ones went by while the camera was opened"
