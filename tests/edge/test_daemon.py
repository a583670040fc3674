"""The whole daemon, and its command line."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import jscc.release
from edge.__main__ import EdgeService
from edge.daemon import run
from edge.encode.encoder import Encoder
from tests.edge.conftest import FakeLink, settings, until
from wire.geometry import PictureSize
from wire.runtime.errors import UserError
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.views import View

ROOT = Path(__file__).resolve().parents[2]


def shared(link: FakeLink) -> int:
    """Instants of which two frames came."""
    return len(link.frames) - len({frame.captured_at_ns for frame in link.frames})


async def test_two_edges_send_the_same_instants(link: FakeLink, tiny_codec: str) -> None:
    """Both daemons run in one loop against one server; capture times meet."""
    stop = asyncio.Event()
    configs = [
        settings(
            view=view,
            camera={"kind": "synthetic", "fps": 50},
            link={"address": f"127.0.0.1:{link.port}", "age_budget_ms": 0},
            codec={"name": tiny_codec},
        )
        for view in View
    ]
    running = [asyncio.create_task(run(config, stop)) for config in configs]
    await until(lambda: shared(link) >= 3, seconds=20)
    await link.say(link_report=link_pb2.LinkReport(snr_db=5.0))
    stop.set()
    async with asyncio.timeout(5):
        await asyncio.gather(*running)
    instants = [frame.captured_at_ns for frame in link.frames]
    assert all(instant % 20_000_000 == 0 for instant in instants)
    assert len({hello.boot_id for hello in link.hellos}) == 2
    assert link.ended == 2


async def test_a_slow_encoder_gets_pictures_that_the_other_edge_encodes_too(
    link: FakeLink, tiny_codec: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Both edges need longer than a period, and not equally long: at first each takes what comes."""
    encode = Encoder.encode
    slowness = iter((0.11, 0.13))

    class Slow(Encoder):
        def __init__(self, name: str, threads: int, size: PictureSize) -> None:
            super().__init__(name, threads, size)
            self.seconds = next(slowness)

        def encode(self, picture: NDArray[np.uint8], snr_db: float) -> NDArray[np.complex64]:
            time.sleep(getattr(self, "seconds", 0.0))
            return encode(self, picture, snr_db)

    monkeypatch.setattr("edge.daemon.Encoder", Slow)
    stop = asyncio.Event()
    configs = [
        settings(
            view=view,
            camera={"kind": "synthetic", "fps": 20},
            link={"address": f"127.0.0.1:{link.port}", "age_budget_ms": 0},
            codec={"name": tiny_codec},
        )
        for view in View
    ]
    running = [asyncio.create_task(run(config, stop)) for config in configs]

    def in_step() -> bool:
        """By the clock that both share: on a busy machine even fewer, which is in step too."""
        newest = [frame.captured_at_ns // 50_000_000 for frame in link.frames[-12:]]
        return len(newest) == 12 and not any(tick % 4 for tick in newest)

    await until(in_step, seconds=30)
    stop.set()
    async with asyncio.timeout(5):
        await asyncio.gather(*running)
    lines = [message for message in caplog.messages if message.startswith("encoding takes")]
    assert len(lines) >= 2, "each edge says so"
    assert "too long for 20 a second: one in " in lines[0]
    assert "set camera.fps of both edges to at most " in lines[0]


async def test_the_hello_says_the_rate_and_after_how_long_the_clip_starts_over(
    link: FakeLink, tiny_codec: str, tmp_path: Path
) -> None:
    """By these the center tells cameras that show different moments."""
    for number in range(7):
        Image.new("RGB", (256, 128), (number, 0, 0)).save(tmp_path / f"{number}.png")
    stop = asyncio.Event()
    config = settings(
        camera={"kind": "folder", "path": str(tmp_path), "fps": 20},
        link={"address": f"127.0.0.1:{link.port}"},
        codec={"name": tiny_codec},
    )
    running = asyncio.create_task(run(config, stop))
    await until(lambda: link.hellos, seconds=20)
    stop.set()
    async with asyncio.timeout(10):
        await running
    assert (link.hellos[0].frame_rate, link.hellos[0].loop_ms) == (20.0, 350)


@pytest.mark.parametrize(
    ("size", "sent"), [("256x512", "256x512"), ("auto", "320x640"), (None, "128x256")], ids=["set", "auto", "unset"]
)
async def test_the_hello_says_the_size_and_the_frames_have_it(
    link: FakeLink, tiny_codec: str, tmp_path: Path, size: str | None, sent: str
) -> None:
    Image.effect_noise((640, 480), 50).convert("RGB").save(tmp_path / "0.png")
    stop = asyncio.Event()
    config = settings(
        camera={"kind": "folder", "path": str(tmp_path), "fps": 20},
        link={"address": f"127.0.0.1:{link.port}", "age_budget_ms": 0},
        codec={"name": tiny_codec},
        largest_size="512x1024",
        **({} if size is None else {"size": size}),
    )
    running = asyncio.create_task(run(config, stop))
    await until(lambda: link.frames, seconds=20)
    stop.set()
    async with asyncio.timeout(10):
        await running
    expected = PictureSize.parse(sent)
    assert (link.hellos[0].height, link.hellos[0].width) == (expected.rows, expected.columns)
    assert link.frames[0].symbols.count == expected.symbols


async def test_with_auto_nothing_is_said_before_a_picture_has_come(
    link: FakeLink, tiny_codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network camera may boot after us, and its pictures tell the size."""
    asked, may_answer = threading.Event(), threading.Event()

    class Late:
        name, patient, loop_s = "late camera", True, 0.0

        def open(self) -> None:
            asked.set()
            if not may_answer.wait(20):
                raise UserError("no answer")

        def next(self, stop: threading.Event) -> tuple[int, NDArray[np.uint8]] | None:
            return None if stop.wait(0.05) else (time.time_ns(), np.full((300, 600, 3), 77, np.uint8))

        def close(self) -> None:
            pass

    monkeypatch.setattr("edge.daemon.sources.make", lambda *_: Late())
    stop = asyncio.Event()
    config = settings(
        size="auto",
        camera={"kind": "rtsp", "url": "rtsp://camera.example/stream"},
        link={"address": f"127.0.0.1:{link.port}", "age_budget_ms": 0},
        codec={"name": tiny_codec},
    )
    running = asyncio.create_task(run(config, stop))
    await until(asked.is_set, seconds=20)
    assert not link.hellos
    may_answer.set()
    await until(lambda: link.frames, seconds=20)
    stop.set()
    async with asyncio.timeout(10):
        await running
    assert (link.hellos[0].height, link.hellos[0].width) == (256, 512), "the default of largest_size"


async def test_with_auto_one_may_leave_before_a_picture_has_come(link: FakeLink, tiny_codec: str) -> None:
    stop = asyncio.Event()
    config = settings(
        size="auto",
        camera={"kind": "rtsp", "url": "rtsp://127.0.0.1:1/stream"},
        link={"address": f"127.0.0.1:{link.port}"},
        codec={"name": tiny_codec},
    )
    running = asyncio.create_task(run(config, stop))
    await asyncio.sleep(0.2)
    stop.set()
    async with asyncio.timeout(15):
        await running
    assert not link.hellos


def edge(*arguments: str) -> int:
    return EdgeService().main(list(arguments))


@pytest.fixture
def written(tmp_path: Path, tiny_codec: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration file for a synthetic camera; tests change it by environment."""
    file = tmp_path / "edge.yaml"
    file.write_text(f"camera: {{kind: synthetic}}\ncodec: {{name: {tiny_codec}}}\nmetrics: {{port: 0}}\n")
    monkeypatch.chdir(tmp_path)
    return file


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("CAMERA={kind: folder, path: nowhere}", "folder nowhere: there is no such folder; set camera.path"),
        ("CAMERA={kind: video, path: edge.yaml}", "video edge.yaml: cannot be read as a video"),
        ("CAMERA={kind: webcam, device: /dev/video99}", "webcam /dev/video99: no answer; check that"),
        ("CODEC__NAME=nowhere", "codec 'nowhere' is neither a folder nor shipped"),
    ],
)
def test_what_cannot_run_ends_with_one_line(
    written: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    setting: str,
    line: str,
) -> None:
    name, _, value = setting.partition("=")
    monkeypatch.setenv(f"VERGENCE_EDGE__{name}", value)
    assert edge("run", "--config", str(written)) == 1
    assert capsys.readouterr().err.startswith(f"vergence-edge: error: {line}")


def test_a_metrics_port_that_is_taken_ends_with_one_line(
    written: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("VERGENCE_EDGE__METRICS__PORT", str(port))
        assert edge("run", "--config", str(written)) == 1
    assert f"cannot serve metrics on 127.0.0.1:{port}: address already in use" in capsys.readouterr().err


def test_check_config_says_ok_or_points_at_the_line(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert edge("check-config", "--config", str(written)) == 0
    written.write_text("camera: {kind: synthetic}\nlink: {credits: 3}\n")
    assert edge("check-config", "--config", str(written)) == 2
    assert f"{written}:2: link.credits: unknown key; did you mean 'credit'?" in capsys.readouterr().err


def test_without_opencv_the_extra_is_named(
    written: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    for name in [name for name in sys.modules if name.startswith("edge.") and name != "edge.__main__"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("edge.daemon", raising=False)
    assert edge("run", "--config", str(written)) == 1
    assert "cv2 is not installed; in a checkout of vergence: pip install '.[edge]'" in capsys.readouterr().err


def test_export_without_weights_says_so(written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "none.safetensors"
    assert edge("export", "--config", str(written), "--weights", str(missing)) == 1
    assert f"{missing} does not exist; give --weights" in capsys.readouterr().err


def test_export_without_torch_names_the_extra(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "model.safetensors"
    weights.touch()
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "jscc.release.onnx", raising=False)
    monkeypatch.delattr(jscc.release, "onnx", raising=False)  # where another test has imported it already
    assert edge("export", "--config", str(written), "--weights", str(weights)) == 1
    assert "torch is not installed; in a checkout of vergence: pip install '.[train]'" in capsys.readouterr().err


def test_opencv_says_nothing_of_its_own_about_a_camera_that_is_away(written: Path) -> None:
    """In a process of its own: OpenCV's lines pass Python by, and its switch is the whole process's."""
    command = [sys.executable, "-m", "edge", "run", "--config", str(written)]
    camera = {
        "VERGENCE_EDGE__CAMERA": "{kind: webcam, device: 77}",
        "VERGENCE_EDGE__CODEC__NAME": "small-joint",  # the tiny one has no SHA256SUMS, which is told
        "PYTHONPATH": str(ROOT),
    }
    ended = subprocess.run(
        command, env={**os.environ, **camera}, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("vergence-edge: error: webcam 77: no answer; check that it is connected")
