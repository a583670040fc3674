import threading
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest

from edge.camera import sources
from edge.camera.frame_clock import FrameClock
from edge.camera.framing import Framing
from edge.camera.sources.base import Clocked, SkippedFrame
from edge.camera.sources.folder import Folder
from edge.camera.sources.synthetic import Synthetic
from edge.camera.sources.video import Video
from edge.camera.sources.webcam import Webcam, webcam
from edge.config import CameraConfig
from wire.geometry import DEFAULT_SIZE, LARGEST_SIZE, PictureSize
from wire.runtime.errors import UserError
from wire.views import View

COUNT = 7


def numbered(n: int) -> np.ndarray:
    """A grey picture whose brightness says its number."""
    return np.full((128, 256, 3), 20 + 30 * n, np.uint8)


def number(picture: np.ndarray) -> int:
    return round((float(picture.mean()) - 20) / 30)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures")
    for n in range(COUNT):
        cv2.imwrite(str(path / f"{n:03d}.png"), numbered(n))
    (path / "notes.txt").write_text("not a picture")
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (256, 128))
    for n in range(COUNT):
        writer.write(numbered(n))
    writer.release()
    return path


class StoppedClock(threading.Event):
    """A clock that goes on only while somebody waits for it; nobody really waits."""

    def __init__(self, now_ns: int) -> None:
        super().__init__()
        self.now_ns = now_ns

    def wait(self, timeout: float | None = None) -> bool:
        self.now_ns += round((timeout or 0.0) * 1e9)
        return self.is_set()


def taken(source: Clocked, clock: StoppedClock, count: int) -> list[tuple[int, int]]:
    shots = []
    for _ in range(count):
        shot = source.next(clock)
        assert shot is not None
        shots.append((shot[0], number(shot[1])))
    return shots


def test_a_folder_is_looped_in_the_order_of_names(folder: Path) -> None:
    source = Folder(str(folder), View.LEFT)
    source.open()
    assert [number(source.picture(k)) for k in range(10)] == [0, 1, 2, 3, 4, 5, 6, 0, 1, 2]


def test_colours_are_red_first(tmp_path: Path) -> None:
    red = np.zeros((128, 256, 3), np.uint8)
    red[..., 2] = 255  # OpenCV writes blue first
    cv2.imwrite(str(tmp_path / "red.png"), red)
    source = Folder(str(tmp_path), View.LEFT)
    source.open()
    assert source.picture(0)[0, 0].tolist() == [255, 0, 0]


def test_a_video_shows_the_right_frame_in_any_order(video: Path) -> None:
    source = Video(str(video), FrameClock(10))
    source.open()
    for tick in (0, 1, 2, 5, 3, 6, 7, 20, 8 * COUNT, 1):
        assert number(source.picture(tick)) == tick % COUNT
    source.close()


@pytest.mark.parametrize("kind", ["folder", "video"])
def test_two_edges_show_the_same_instant_whenever_they_start(kind: str, folder: Path, video: Path) -> None:
    def source(now_ns: int) -> tuple[Clocked, StoppedClock]:
        clock = StoppedClock(now_ns)
        footage = Folder(str(folder), View.LEFT) if kind == "folder" else Video(str(video), FrameClock(10))
        made = Clocked(footage, FrameClock(10), clock_ns=lambda: clock.now_ns)
        made.open()
        return made, clock

    start = 1_780_000_000_030_000_000
    early, late = source(start), source(start + 530_000_000)
    first, second = taken(*early, 12), taken(*late, 7)
    assert first[5:] == second
    for captured_at, shown in first:
        assert captured_at % 100_000_000 == 0
        assert shown == captured_at // 100_000_000 % COUNT
    early[0].close()
    late[0].close()


def test_a_clocked_source_stops_at_once(folder: Path) -> None:
    source, stop = Clocked(Folder(str(folder), View.LEFT), FrameClock(0.1)), threading.Event()
    source.open()
    stop.set()
    assert source.next(stop) is None


class Drawing:
    """Footage that takes its time: longer than a tick for each picture."""

    name = "drawing"

    def __init__(self, clock: StoppedClock) -> None:
        self.clock, self.drawn = clock, list[int]()

    def open(self) -> None:
        """Nothing can be missing."""

    def picture(self, tick: int) -> np.ndarray:
        self.drawn.append(tick)
        self.clock.wait(0.13)
        return numbered(tick % COUNT)

    def loop_s(self, ticks: FrameClock) -> float:
        return 0.0

    def close(self) -> None:
        """Nothing is open."""


def test_a_picture_that_nobody_wants_is_not_drawn() -> None:
    """To draw it would cost the next tick, on which the other edge may insist."""
    clock, asked = StoppedClock(0), list[int]()

    def one_in_four(captured_at_ns: int) -> bool:
        asked.append(captured_at_ns)
        return captured_at_ns % 400_000_000 == 0

    drawing = Drawing(clock)
    source = Clocked(drawing, FrameClock(10), clock_ns=lambda: clock.now_ns, wanted=one_in_four)
    assert [at // 10**8 for at, _ in taken(source, clock, 4)] == [4, 8, 12, 16]
    assert drawing.drawn == [4, 8, 12, 16]
    assert [at // 10**8 for at in asked[:7]] == [1, 2, 3, 4, 6, 7, 8]


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda path: Folder(str(path / "none"), View.LEFT), "there is no such folder; set camera.path"),
        (lambda path: Folder(str(path), View.LEFT), "no pictures in it"),
        (lambda path: Video(str(path / "none.mp4"), FrameClock(10)), "there is no such file; set camera.path"),
        (lambda path: Video(str(path / "broken.mp4"), FrameClock(10)), "cannot be read as a video"),
    ],
)
def test_missing_footage_is_a_problem_of_one_line(tmp_path: Path, make: object, line: str) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"this is no video")
    with pytest.raises(UserError, match=line):
        make(tmp_path).open()  # type: ignore[operator]


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"this is no picture")
    with pytest.raises(UserError, match=r"a\.jpg is not a readable picture"):
        Clocked(Folder(str(tmp_path), View.LEFT), FrameClock(10)).open()


def test_a_damaged_picture_leaves_its_tick_empty_and_the_others_in_place(folder: Path, tmp_path: Path) -> None:
    for file in folder.glob("*.png"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    cut = (folder / "002.png").read_bytes()
    (tmp_path / "002.png").write_bytes(cut[: len(cut) // 2])
    cv2.imwrite(str(tmp_path / "004.png"), np.zeros((64, 128, 3), np.uint8))
    clock = StoppedClock(1_780_000_000_000_000_000)
    source = Clocked(Folder(str(tmp_path), View.LEFT), FrameClock(10), clock_ns=lambda: clock.now_ns)
    source.open()
    shown: set[int] = set()
    skipped: list[str] = []
    for _ in range(2 * COUNT):
        try:
            shown.update(n for _, n in taken(source, clock, 1))
        except SkippedFrame as frame:
            skipped.append(str(frame))
    assert shown == {0, 1, 3, 5, 6}
    assert len(skipped) == 4
    assert sum("002.png is cut off or damaged" in line for line in skipped) == 2
    assert sum("64x128" in line for line in skipped) == 2


def test_numbers_in_names_count_as_numbers_and_macs_shadow_files_do_not(tmp_path: Path) -> None:
    for n in range(12):
        cv2.imwrite(str(tmp_path / f"frame{n}.png"), np.full((128, 256, 3), 20 * n, np.uint8))
    (tmp_path / "._frame0.png").write_bytes(b"no picture")
    source = Folder(str(tmp_path), View.LEFT)
    source.open()
    assert [round(source.picture(tick).mean() / 20) for tick in range(12)] == list(range(12))


@pytest.mark.parametrize("kind", ["folder", "synthetic"])
def test_the_capture_times_of_recorded_and_drawn_pictures_can_be_shifted(kind: str, folder: Path) -> None:
    """As if this edge's clock were 70 ms behind: the same pictures, stamped earlier."""

    def first(delay_ms: float | None) -> tuple[int, np.ndarray]:
        path = {"path": str(folder)} if kind == "folder" else {}
        config = CameraConfig.model_validate({"kind": kind, "delay_ms": delay_ms, **path})
        source = sources.make(config, View.LEFT)
        assert isinstance(source, Clocked)
        clock = StoppedClock(1_780_000_000_030_000_000)
        source._clock_ns = lambda: clock.now_ns
        source.open()
        shot = source.next(clock)
        assert shot is not None
        return shot

    (straight, picture), (shifted, same) = first(None), first(70.0)
    assert straight - shifted == 70_000_000
    np.testing.assert_array_equal(picture, same)


def test_footage_that_is_too_small_is_found_before_anything_runs(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "small.png"), np.zeros((64, 128, 3), np.uint8))
    with pytest.raises(UserError, match="64x128"):
        Clocked(Folder(str(tmp_path), View.LEFT), FrameClock(10)).open()


def test_the_demo_clip_is_found_for_each_view() -> None:
    left, right = (sources.make(CameraConfig(path="builtin:demo"), view) for view in View)
    left.open()
    right.open()
    assert left.name.endswith("left")
    assert right.name.endswith("right")


def test_a_live_camera_delivers_until_it_fails_and_can_be_opened_again(video: Path) -> None:
    camera = Webcam("test", lambda: cv2.VideoCapture(str(video)), fps=1e6, delay_ms=0)
    stop = threading.Event()
    for _ in range(2):
        camera.open()
        for _ in range(COUNT - 1):  # opening took one
            assert camera.next(stop) is not None
        with pytest.raises(UserError, match="delivers no pictures"):
            camera.next(stop)
    camera.close()
    camera.close()


def test_a_cameras_own_delay_is_taken_off_the_capture_time(video: Path) -> None:
    cameras = [Webcam("test", lambda: cv2.VideoCapture(str(video)), 240, delay) for delay in (0, 9_000)]
    times = []
    for camera in cameras:
        camera.open()
        shot = camera.next(threading.Event())
        assert shot is not None
        times.append(shot[0])
        camera.close()
    assert 8.0 < (times[0] - times[1]) / 1e9 < 9.0


class Driver:
    """What OpenCV hands out for a webcam; `readable` says whether a frame can be decoded."""

    def __init__(self) -> None:
        self.readable = True
        self.decoded = 0

    def isOpened(self) -> bool:  # noqa: N802 as OpenCV names it
        return True

    def grab(self) -> bool:
        return True

    def retrieve(self) -> tuple[bool, np.ndarray]:
        self.decoded += 1
        return self.readable, np.zeros((128, 256, 3), np.uint8)

    def release(self) -> None:
        """Nothing is held."""


def test_a_frame_that_a_webcam_s_driver_could_not_decode_is_not_shown() -> None:
    driver = Driver()
    camera = Webcam("test", lambda: cast("cv2.VideoCapture", driver), fps=1e6, delay_ms=0)
    camera.open()
    assert camera.next(threading.Event()) is not None
    driver.readable = False
    with pytest.raises(UserError, match="delivers pictures that cannot be decoded; opening it again"):
        camera.next(threading.Event())


def test_a_frame_of_a_webcam_that_nobody_wants_is_not_decoded() -> None:
    driver, asked = Driver(), list[int]()

    def the_third(captured_at_ns: int) -> bool:
        asked.append(captured_at_ns)
        return len(asked) == 3

    camera = Webcam("test", lambda: cast("cv2.VideoCapture", driver), fps=1e6, delay_ms=0, wanted=the_third)
    camera.open()
    shot = camera.next(threading.Event())
    assert shot is not None
    assert shot[0] == asked[2]
    assert driver.decoded == 2, "one of them at the start"


def test_a_webcam_that_is_not_there_is_a_problem(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="no answer; check that it is connected"):
        webcam("/dev/video99", 10, 0).open()


def scene(view: View, tick: int, size: PictureSize = DEFAULT_SIZE) -> np.ndarray:
    return Synthetic(view, FrameClock(10), size).picture(tick)


def test_the_drawn_scene_is_a_rectified_stereo_pair() -> None:
    """Every row of the right view is found in the left one, further right, by a disparity that the depth explains."""
    left, right = (scene(view, 17_800_000_000).astype(int) for view in View)
    columns = np.arange(40, 200)
    matched = np.zeros((128, len(columns)), bool)
    for d in range(19):
        matched |= np.abs(left[:, columns + d] - right[:, columns]).max(axis=2) <= 8
    assert matched.mean() > 0.95
    wall, ground = 0, 127
    np.testing.assert_array_equal(left[wall, 2:], right[wall, :-2])
    np.testing.assert_array_equal(left[ground, 18:], right[ground, :-18])


def test_the_drawn_scene_moves_and_is_the_same_for_the_same_tick() -> None:
    np.testing.assert_array_equal(scene(View.LEFT, 5), scene(View.LEFT, 5))
    assert (scene(View.LEFT, 5) != scene(View.LEFT, 9)).mean() > 0.3


def test_the_drawn_scene_is_textured() -> None:
    picture = scene(View.RIGHT, 123)
    assert picture.shape == (128, 256, 3)
    assert picture.std(axis=(0, 1)).min() > 20


@pytest.mark.parametrize("size", [PictureSize(256, 512), PictureSize(192, 640), LARGEST_SIZE], ids=str)
def test_the_drawn_scene_has_any_size_and_stays_a_rectified_pair(size: PictureSize) -> None:
    left, right = (scene(view, 17_800_000_000, size).astype(int) for view in View)
    assert left.shape == (size.rows, size.columns, 3)
    far, near = size.columns * 2 // 256, size.columns * 18 // 256
    np.testing.assert_array_equal(left[0, far:], right[0, :-far])
    np.testing.assert_array_equal(left[-1, near:], right[-1, :-near])
    assert right.std(axis=(0, 1)).min() > 15
    source = sources.make(CameraConfig.model_validate({"kind": "synthetic"}), View.LEFT, "demo", Framing(size))
    source.open()
    shot = source.next(threading.Event())
    assert shot is not None
    assert shot[1].shape == (size.rows, size.columns, 3)
