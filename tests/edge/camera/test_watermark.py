"""A mark that survives the codec and the link, and is not read where there is none."""

import threading
import time

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from center.decode.engines import Batch
from edge.camera import sources
from edge.camera.frame_clock import FrameClock
from edge.camera.sources.synthetic import Synthetic
from edge.camera.sources.watermark import Mark, read, stamp
from edge.config import CameraConfig, CameraKind
from edge.encode.encoder import Encoder
from tests.recordings import shipped_engine
from wire import codec
from wire.geometry import SYMBOLS, PictureSize
from wire.views import View

TICKS = FrameClock(10.0)


def over_the_link(pictures: dict[View, NDArray[np.uint8]], snr_db: float, seed: int) -> dict[View, NDArray[np.uint8]]:
    """What the center shows of two pictures, or of one alone, after two links of white Gaussian noise."""
    rng, n0, batch = np.random.default_rng(seed), 10 ** (-snr_db / 10), Batch.absent(1)
    encoder = Encoder(codec.DEFAULT, 1)
    for view, picture in pictures.items():
        noise = np.sqrt(n0 / 2) * (rng.normal(size=SYMBOLS) + 1j * rng.normal(size=SYMBOLS))
        received = (encoder.encode(picture, snr_db) + noise) / (1 + n0)
        batch.symbols[0, view.position] = received.astype(np.complex64).view(np.float32).reshape(SYMBOLS, 2)
        batch.reliability[0, view.position] = 1 / (1 + n0)
        batch.snr_db[0, view.position] = snr_db
    shown = np.rint(np.clip(shipped_engine().decode(batch), 0, 1) * 255).astype(np.uint8)
    return {view: shown[0, view.position].transpose(1, 2, 0) for view in pictures}


@pytest.mark.parametrize("views", [tuple(View), (View.LEFT,)], ids=["pair", "alone"])
@pytest.mark.parametrize("snr_db", [1.0, 20.0])
def test_a_mark_survives_the_codec_and_the_noise(views: tuple[View, ...], snr_db: float) -> None:
    for tick in (0, 17_000_000_123, 17_000_000_124):
        scene = {view: Synthetic(view, TICKS).picture(tick) for view in views}
        marked = {view: stamp(scene[view], Mark.of("lab", view, tick)) for view in views}
        for view, picture in over_the_link(marked, snr_db, seed=tick % 1000).items():
            assert read(picture) == Mark.of("lab", view, tick)


def test_every_part_of_a_mark_is_read() -> None:
    scene = Synthetic(View.LEFT, TICKS).picture(7)
    marks = {Mark.of(rig, view, tick) for rig in ("one", "two") for view in View for tick in (7, 8, 2**31 - 1)}
    assert len(marks) == 12
    assert {read(stamp(scene, mark)) for mark in marks} == marks


@pytest.mark.parametrize("size", [PictureSize(256, 512), PictureSize(128, 1024), PictureSize(144, 272)], ids=str)
def test_a_mark_fits_any_size(size: PictureSize) -> None:
    mark = Mark.of("lab", View.RIGHT, 17_000_000_123)
    scene = Synthetic(View.RIGHT, TICKS, size).picture(7)
    assert read(stamp(scene, mark)) == mark
    assert read(scene) is None


def test_a_picture_without_a_mark_and_one_of_two_halves_have_none() -> None:
    scene = Synthetic(View.LEFT, TICKS).picture(7)
    assert read(scene) is None
    one, two = (stamp(scene, Mark.of("one", View.LEFT, tick)) for tick in (7, 1_000_000))
    torn = np.concatenate([one[:, :128], two[:, 128:]], axis=1)
    assert read(torn) is None


def test_a_marked_camera_marks_the_instant_that_it_claims() -> None:
    config = CameraConfig(kind=CameraKind.SYNTHETIC, fps=100.0, watermark=True)
    source = sources.make(config, View.RIGHT, "lab")
    source.open()
    taken = source.next(threading.Event())
    assert taken is not None
    captured_at_ns, picture = taken
    assert abs(captured_at_ns - time.time_ns()) < 5e9
    assert read(picture) == Mark.of("lab", View.RIGHT, FrameClock(100.0).nearest(captured_at_ns))


def test_only_a_drawn_scene_takes_a_mark() -> None:
    with pytest.raises(ValidationError, match="'watermark' does nothing with kind 'folder'"):
        CameraConfig(path="builtin:demo", watermark=True)
