import threading

import numpy as np
import pytest

from edge.camera import capture as camera_module
from edge.camera.capture import Camera
from edge.camera.sources import Picture
from edge.metrics import Metrics
from tests.edge.conftest import counted
from wire.runtime.errors import UserError


class Scripted:
    """A source that does one step after the other: a picture, a failure, or waiting for the end."""

    name = "test camera"

    def __init__(self, steps: list[Picture | Exception], patient: bool = False, fails_to_open: int = 0) -> None:
        self.patient = patient
        self._steps = iter(steps)
        self._fails_to_open = fails_to_open
        self.opened = self.closed = 0
        self.exhausted = threading.Event()

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
        stop.wait()
        return None

    def close(self) -> None:
        self.closed += 1


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_module, "REOPEN_FIRST", 0.001)
    monkeypatch.setattr(camera_module, "REOPEN_CAP", 0.002)


def run(source: Scripted) -> tuple[Camera, Metrics, list[str]]:
    """A camera that has gone through the whole script."""
    events: list[str] = []
    metrics = Metrics("demo", "left")
    camera = Camera(source, metrics, on_shot=lambda: events.append("shot"), on_skip=lambda: events.append("skip"))
    camera.start()
    assert source.exhausted.wait(5)
    return camera, metrics, events


def picture(value: int, size: tuple[int, int] = (128, 256)) -> Picture:
    return np.full((*size, 3), value, np.uint8)


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
