import random
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from edge.camera.frame_clock import FrameClock
from edge.camera.framing import fit
from edge.camera.sources.base import SkippedFrame
from edge.camera.sources.video import Video
from tests.edge.camera.clips import number, numbered, write_clip
from wire.runtime.errors import UserError

FIELD = next(
    (found for up in Path(__file__).resolve().parents if (found := up / "shared" / "data" / "field").is_dir()),
    Path("none"),
)


def opened(path: Path, rate: float = 10.0) -> Video:
    video = Video(str(path), FrameClock(rate))
    video.open()
    return video


def variable(count: int) -> list[int]:
    """Milliseconds: as a phone films, now at 30 and now at 15 pictures a second, with gaps."""
    rng = random.Random(5)
    times = [0]
    while len(times) < count:
        times.append(times[-1] + rng.choice((33, 33, 34, 67, 120)))
    return times


@pytest.mark.parametrize(
    ("name", "codec", "times", "unit", "b_frames"),
    [
        ("a.mp4", "libx264", variable(90), Fraction(1, 1000), 2),
        ("a.mkv", "libx264", variable(90), Fraction(1, 1000), 2),
        ("a.ts", "libx264", [t * 90 for t in variable(90)], Fraction(1, 90_000), 2),
        ("a.ts", "mpeg2video", list(range(0, 90)), Fraction(1, 25), 2),
        ("a.mov", "mpeg4", list(range(90)), Fraction(1, 25), 0),
        ("a.avi", "libx264", list(range(90)), Fraction(1, 25), 2),  # no presentation times in the file
        ("a.h264", "libx264", list(range(90)), Fraction(1, 25), 2),  # no time stamps at all
    ],
)
def test_a_tick_shows_the_same_frame_whoever_asks_and_whenever(
    name: str, codec: str, times: list[int], unit: Fraction, b_frames: int, tmp_path: Path
) -> None:
    """One edge reads on and on, another one starts anywhere: what they show goes by the time stamps alone."""
    path = write_clip(tmp_path / name, times, unit, codec, b_frames=b_frames)
    start = 17_800_000_000
    steady, restarted = opened(path), opened(path)
    steps = [after - before for before, after in pairwise(times)]
    last = float((times[-1] + sorted(steps)[len(steps) // 2]) * unit)
    seen = {tick: number(steady.picture(tick)) for tick in range(start, start + 3 * round(10 * last))}
    assert len(set(seen.values())) > 25
    shuffled = list(seen)
    random.Random(1).shuffle(shuffled)
    for tick in shuffled[:60]:
        assert number(restarted.picture(tick)) == seen[tick]
    steady.close()
    restarted.close()


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_a_frame_is_shown_from_its_presentation_time_until_the_next_ones(name: str, tmp_path: Path) -> None:
    times = variable(60)
    unit = Fraction(1, 90_000) if name == "a.ts" else Fraction(1, 1000)
    scale = 90 if name == "a.ts" else 1
    video = opened(write_clip(tmp_path / name, [t * scale for t in times], unit), 1000.0)
    for n in (0, 1, 7, 30, 31, 58):
        assert number(video.picture(times[n])) == n
        assert number(video.picture(times[n + 1] - 1)) == n
        assert number(video.picture(times[n] + 1)) == n
    video.close()


class Astray:
    """A file of which every seek lands elsewhere, as with containers that only guess where a time is."""

    def __init__(self, opened: av.container.InputContainer, seconds: float) -> None:
        self._opened, self._seconds = opened, seconds
        self.seeks = 0

    def seek(self, offset: int, *, stream: av.VideoStream) -> None:
        self.seeks += 1
        assert stream.time_base is not None
        self._opened.seek(max(0, offset + round(self._seconds / stream.time_base)), stream=stream)

    def __getattr__(self, name: str) -> object:
        return getattr(self._opened, name)


@pytest.mark.parametrize("seconds", [-3.0, 0.7, 3.0])
@pytest.mark.parametrize("name", ["a.mp4", "a.ts"])
def test_a_frame_is_the_same_wherever_a_seek_lands(
    name: str, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_clip(tmp_path / name, list(range(200)), Fraction(1, 25))
    opens: list[Astray] = []
    video = Video(str(path), FrameClock(25.0))
    video.open()
    assert video._index is not None

    really = av.open

    def astray(path: str) -> Astray:
        opens.append(Astray(really(path), seconds))
        return opens[-1]

    monkeypatch.setattr(av, "open", astray)
    video._reader = video._start(video._index)
    for tick in (150, 40, 199, 3, 100):
        assert number(video.picture(tick)) == tick
    assert sum(each.seeks for each in opens) >= 3
    video.close()


def test_a_film_says_after_how_long_it_starts_over(tmp_path: Path) -> None:
    clock = FrameClock(10.0)
    video = Video(str(write_clip(tmp_path / "a.mp4", list(range(60)), Fraction(1, 25))), clock)
    assert video.loop_s(clock) == 0.0
    video.open()
    assert video.loop_s(clock) == pytest.approx(60 / 25)
    assert number(video.picture(23)) != number(video.picture(24)) == number(video.picture(0))
    video.close()


def test_a_file_of_2997_a_second_plays_at_its_true_speed_at_10_a_second(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", [n * 1001 for n in range(90)], Fraction(1, 30_000))
    video = opened(path)
    for tick in range(30):
        assert number(video.picture(tick)) == int(Fraction(tick, 10) * 30_000 / 1001)
    video.close()


def test_a_file_of_the_cameras_own_rate_shows_every_frame_once(tmp_path: Path) -> None:
    """Time stamps in milliseconds lie up to half a millisecond beside the tick."""
    times = [round(n * 1000 / 30) for n in range(60)]
    video = opened(write_clip(tmp_path / "a.mkv", times, Fraction(1, 1000)), 30.0)
    assert [number(video.picture(tick)) for tick in range(60)] == list(range(60))
    video.close()


def woven(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Upper field of one instant, lower field of the next."""
    frame = first.copy()
    frame[1::2] = second[1::2]
    return frame


def test_an_interlaced_film_is_shown_without_combs_and_not_black(tmp_path: Path) -> None:
    scene = cv2.resize(np.random.default_rng(2).integers(0, 255, (18, 60, 3)).astype(np.uint8), (1200, 360))
    moments = [np.ascontiguousarray(scene[:, 8 * n : 8 * n + 720]) for n in range(24)]
    frames = [woven(moments[2 * n], moments[2 * n + 1]) for n in range(12)]
    path = write_clip(tmp_path / "a.mp4", list(range(12)), Fraction(1, 25), pictures=frames, interlaced=True)
    video = opened(path, 25.0)
    for tick in (0, 5, 11):
        error = fit(video.picture(tick)).astype(float) - fit(moments[2 * tick])
        combed = fit(frames[tick]).astype(float) - fit(moments[2 * tick])
        assert 10 * np.log10(255**2 / (error**2).mean()) > 35
        assert (error**2).mean() < (combed**2).mean() / 4
    video.close()


@pytest.mark.skipif(not FIELD.is_dir(), reason="shared/data/field is not here: real files of the field stay unread")
def test_real_films_of_the_field() -> None:
    interlaced, turned = opened(FIELD / "inter264.mp4"), opened(FIELD / "rot90.mp4")
    assert interlaced.picture(0).mean() > 40
    assert turned.picture(0).shape == (512, 256, 3)
    one, other = opened(FIELD / "vfr.mp4"), opened(FIELD / "vfr.mp4")
    for tick in range(0, 200):
        other_first = other.picture(tick) if tick % 7 == 0 else None
        picture = one.picture(tick)
        assert other_first is None or np.array_equal(picture, other_first)


def damage(path: Path, share: float, size: int) -> None:
    content = bytearray(path.read_bytes())
    at = int(len(content) * share)
    content[at : at + size] = random.Random(4).randbytes(size)
    path.write_bytes(content)


def test_frames_that_cannot_be_decoded_are_told_and_the_others_keep_their_place(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    pictures = [np.maximum(numbered(n), rng.integers(0, 30, (128, 256, 1)).astype(np.uint8)) for n in range(90)]
    path = write_clip(tmp_path / "a.ts", list(range(90)), Fraction(1, 25), gop=10, pictures=pictures)
    damage(path, 0.5, 4_000)
    video, again = opened(path, 25.0), opened(path, 25.0)
    shown: dict[int, int] = {}
    missing = []
    lines = set()
    for tick in range(90):
        try:
            shown[tick] = number(video.picture(tick))
        except SkippedFrame as skipped:
            missing.append(tick)
            lines.add((skipped.about, str(skipped).partition(" s cannot")[2]))
    assert 1 <= len(missing) <= 30
    assert lines == {("decoding", " be decoded; such frames are skipped")}
    assert all(tick == frame for tick, frame in shown.items())
    for tick in (89, *missing[:2], 0, 44, 60, 20):
        if tick in missing:
            with pytest.raises(SkippedFrame):
                again.picture(tick)
        else:
            assert number(again.picture(tick)) == tick
    video.close()
    again.close()


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.avi", "mjpeg")])
def test_a_film_with_a_few_wrong_bytes_shows_nothing_that_a_decoder_made_up(
    name: str, codec: str, tmp_path: Path
) -> None:
    """Of one codec the decoder marks the frame, of the other it paints over it unless it is told not to."""
    rng = np.random.default_rng(7)
    pictures = [np.maximum(numbered(n), rng.integers(0, 30, (128, 256, 1)).astype(np.uint8)) for n in range(40)]
    path = write_clip(tmp_path / name, list(range(40)), Fraction(1, 25), codec, b_frames=0, gop=10, pictures=pictures)
    whole = opened(path, 25.0)
    wanted = [whole.picture(tick).copy() for tick in range(40)]
    whole.close()
    damage(path, 0.5, 60)
    video, missing = opened(path, 25.0), 0
    for tick in range(40):
        try:
            shown = video.picture(tick)
        except SkippedFrame:
            missing += 1
        else:
            np.testing.assert_array_equal(shown, wanted[tick])
    assert 1 <= missing <= 10
    video.close()


def test_a_film_that_is_cut_off_shows_what_it_has_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_clip(tmp_path / "a.avi", list(range(60)), Fraction(1, 25), "mjpeg")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * 0.6)])
    video = opened(path, 25.0)
    assert "it ends early, " in caplog.text
    assert "of 60 frames are missing" in caplog.text
    absent = int(caplog.text.partition("it ends early, ")[2].split()[0])
    frames = [number(video.picture(tick)) for tick in range(59 - absent)]
    assert frames == list(range(len(frames)))
    with pytest.raises(SkippedFrame):  # half a frame is there
        video.picture(59 - absent)
    assert number(video.picture(60 - absent)) == 0
    assert len(frames) > 20
    video.close()


def test_a_film_whose_first_frame_is_too_small_is_refused_at_the_start(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", [0, 1], Fraction(1, 25), pictures=[np.zeros((64, 96, 3), np.uint8)] * 2)
    with pytest.raises(UserError, match="64x96"):
        opened(path)


def test_a_file_without_video_is_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(UserError, match="cannot be read as a video"):
        opened(tmp_path / "a.wav")
