import threading

import numpy as np
import pytest

from edge.camera import capture as camera_module
from edge.camera.capture import Camera
from edge.camera.sources import CameraRefused, Picture, SkippedFrame
from edge.metrics import Metrics
from tests.edge.conftest import counted
from tests.waiting import wait_for
from wire.runtime.errors import UserError


class Scripted:
    """A source that does one step after the other: a picture, a failure, or waiting for the end."""

    name = "test camera"
    loop_s = 0.0

    def __init__(self, steps: list[Picture | Exception], patient: bool = False, fails_to_open: int = 0) -> None:
        self.patient = patient
        self._steps = iter(steps)
        self._fails_to_open = fails_to_open
        self.opened = self.closed = 0
        self.exhausted = threading.Event()
        self.hangs: threading.Event | None = None

    def open(self) -> None:
        if self._fails_to_open:
            self._fails_to_open -= 1
            raise UserError("no answer")
        self.opened += 1

    def next(self, stop: threading.Event) -> tuple[int, Picture] | None:
        for number, step in enumerate(self._steps, start=1):
            if isinstance(step, Exception):
                raise step
            return number, step
        self.exhausted.set()
        (self.hangs or stop).wait()
        return None

    def close(self) -> None:
        self.closed += 1


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_module, "REOPEN_FIRST", 0.001)
    monkeypatch.setattr(camera_module, "REOPEN_CAP", 0.002)


def run(source: Scripted, silence_s: float = 30.0) -> tuple[Camera, Metrics, list[str]]:
    """A camera that has gone through the whole script."""
    events: list[str] = []
    metrics = Metrics("demo", "left")
    camera = Camera(
        source,
        metrics,
        on_frame=lambda: events.append("shot"),
        on_skip=lambda: events.append("skip"),
        silence_s=silence_s,
    )
    camera.start()
    assert source.exhausted.wait(5)
    return camera, metrics, events


def picture(value: int, size: tuple[int, int] = (128, 256)) -> Picture:
    return np.full((*size, 3), value, np.uint8)


def test_pictures_that_are_passed_over_are_no_silence() -> None:
    """One in many is wanted of a camera whose encoder is slow."""
    source = Scripted([picture(1)])
    source.hangs = threading.Event()
    camera, metrics, _ = run(source, silence_s=1.0)
    assert counted(metrics, "camera_up") == 1
    for number in range(30):
        camera.passed_over(number * 10**9)
        source.hangs.wait(0.05)
    assert counted(metrics, "camera_up") == 1
    assert counted(metrics, "captured_frames_total") == 31
    assert counted(metrics, "drops_total", reason="encoder") == 30
    assert counted(metrics, "last_frame_timestamp_seconds") == 29
    wait_for(lambda: counted(metrics, "camera_up") == 0, 10)
    source.hangs.set()
    camera.stop()


def test_only_the_newest_picture_waits_and_skipped_ones_are_told() -> None:
    camera, metrics, events = run(Scripted([picture(n) for n in range(5)]))
    shot = camera.take()
    assert shot is not None
    assert shot.picture[0, 0, 0] == 4
    assert camera.take() is None
    assert events.count("shot") == 5
    assert events.count("skip") == 4
    assert counted(metrics, "captured_frames_total") == 5
    camera.stop()


def test_pictures_are_fitted_on_the_way() -> None:
    camera, _, _ = run(Scripted([picture(9, (480, 640))]))
    shot = camera.take()
    assert shot is not None
    assert shot.picture.shape == (128, 256, 3)
    camera.stop()


def test_a_camera_that_fails_is_opened_again_and_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    failures = [UserError("delivers no pictures")] * 5
    source = Scripted([picture(1), *failures, picture(2)])
    camera, metrics, _ = run(source)
    shot = camera.take()
    assert shot is not None
    assert shot.picture[0, 0, 0] == 2
    assert source.opened == 6
    assert counted(metrics, "camera_failures_total") == 5
    assert counted(metrics, "camera_up") == 1
    assert caplog.messages == ["test camera: up", "test camera: delivers no pictures", "test camera: up"]
    camera.stop()


def test_a_picture_of_the_wrong_size_is_a_failure_and_not_the_end() -> None:
    camera, metrics, _ = run(Scripted([picture(1, (64, 64)), picture(2)]))
    assert camera.take() is not None
    assert counted(metrics, "camera_failures_total") == 1
    camera.stop()


def test_a_camera_that_fails_in_an_unexpected_way_is_opened_again() -> None:
    source = Scripted([picture(1), RuntimeError("a driver's whim"), picture(2)])
    camera, metrics, _ = run(source)
    assert camera.take() is not None
    assert source.opened == 2
    assert counted(metrics, "camera_failures_total") == 1
    camera.stop()


def test_a_missing_camera_is_a_problem_at_the_start() -> None:
    camera = Camera(Scripted([], fails_to_open=1), Metrics("demo", "left"), lambda: None, lambda: None)
    with pytest.raises(UserError, match=r"^test camera: no answer$"):
        camera.start()
    camera.stop()


def test_a_network_camera_is_waited_for() -> None:
    source = Scripted([picture(3)], patient=True, fails_to_open=4)
    camera, metrics, _ = run(source)
    assert camera.take() is not None
    assert counted(metrics, "camera_failures_total") == 4
    camera.stop()


def test_stopping_closes_the_camera() -> None:
    source = Scripted([])
    camera, _, _ = run(source)
    camera.stop()
    assert source.closed == 1
    assert not any(thread.name == "camera" for thread in threading.enumerate())


def test_what_cannot_be_shown_is_skipped_counted_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    half, other = SkippedFrame("5.jpg", "5.jpg is cut off; skipped"), SkippedFrame("6.jpg", "6.jpg is grey; skipped")
    source = Scripted([picture(1), half, picture(2), half, other, picture(3)])
    camera, metrics, _ = run(source)
    shot = camera.take()
    assert shot is not None
    assert shot.picture[0, 0, 0] == 3
    assert source.opened == 1
    assert counted(metrics, "undecodable_frames_total") == 3
    assert counted(metrics, "camera_failures_total") == 0
    assert counted(metrics, "camera_up") == 1
    assert caplog.messages == ["test camera: up", "5.jpg is cut off; skipped", "6.jpg is grey; skipped"]
    camera.stop()


def test_a_camera_that_hangs_is_noticed_while_it_hangs(caplog: pytest.LogCaptureFixture) -> None:
    source = Scripted([picture(1)])
    source.hangs = threading.Event()
    camera, metrics, _ = run(source, silence_s=0.1)
    wait_for(lambda: counted(metrics, "camera_up") == 0)
    source.hangs.set()
    camera.stop()
    assert caplog.messages == [
        "test camera: up",
        "test camera: no picture for 0.1 s; waiting for the camera (camera.stall_s)",
    ]


def test_a_camera_that_sends_nothing_but_damage_is_down(caplog: pytest.LogCaptureFixture) -> None:
    source = Scripted([picture(1), *[SkippedFrame("decoding", "cannot be decoded")] * 3])
    camera, metrics, _ = run(source, silence_s=0.1)
    wait_for(lambda: counted(metrics, "camera_up") == 0)
    assert counted(metrics, "undecodable_frames_total") == 3
    camera.stop()


def test_a_camera_that_refuses_the_password_is_not_asked_again_at_once(caplog: pytest.LogCaptureFixture) -> None:
    source = Scripted([CameraRefused("refuses the user name or password"), picture(1)])
    camera = Camera(source, Metrics("demo", "left"), lambda: None, lambda: None)
    camera.start()
    assert not source.exhausted.wait(0.3)  # a hundred times the longest wait between other tries
    assert caplog.messages == ["test camera: refuses the user name or password"]
    camera.stop()


@pytest.mark.parametrize("failure", [OSError(5, "x", "rtsp://u:hush@cam"), RuntimeError("rtsp://u:hush@cam")])
def test_a_library_that_tells_the_address_is_not_quoted(failure: Exception, caplog: pytest.LogCaptureFixture) -> None:
    camera, _, _ = run(Scripted([picture(1), failure, picture(2)]))
    camera.stop()
    assert "opening it again" in caplog.text
    assert "hush" not in caplog.text
