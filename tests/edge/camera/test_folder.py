"""A folder of pictures as a camera."""

from pathlib import Path

import pytest
from PIL import Image

from edge.camera.frame_clock import FrameClock
from edge.camera.sources.base import Clocked
from edge.camera.sources.folder import Folder
from wire.views import View


def test_a_clip_says_when_it_starts_over(tmp_path: Path) -> None:
    for number in range(21):
        Image.new("RGB", (256, 128), (number, 0, 0)).save(tmp_path / f"{number}.png")
    source = Clocked(Folder(str(tmp_path), View.LEFT), FrameClock(10.0))
    assert source.loop_s == 0.0, "not known before it is open"
    source.open()
    assert source.loop_s == pytest.approx(2.1)
