"""A folder of pictures as a camera."""

from pathlib import Path

import pytest
from PIL import Image

from edge.camera.frame_clock import FrameClock
from edge.camera.sources.base import Clocked, SkippedFrame
from edge.camera.sources.folder import Folder
from wire.runtime.errors import UserError
from wire.views import View


def test_a_clip_says_when_it_starts_over(tmp_path: Path) -> None:
    for number in range(21):
        Image.new("RGB", (256, 128), (number, 0, 0)).save(tmp_path / f"{number}.png")
    source = Clocked(Folder(str(tmp_path), View.LEFT), FrameClock(10.0))
    assert source.loop_s == 0.0, "not known before it is open"
    source.open()
    assert source.loop_s == pytest.approx(2.1)


def test_a_picture_that_is_too_small_is_named_with_its_file(tmp_path: Path) -> None:
    Image.new("RGB", (200, 100)).save(tmp_path / "small.png")
    folder = Folder(str(tmp_path), View.LEFT)
    line = rf"^{tmp_path}/small.png: the picture is 100x200 .* at least 128x256 is needed: .* give larger pictures"
    with pytest.raises(UserError, match=line):
        folder.open()
    Image.new("RGB", (512, 256)).save(tmp_path / "large.png")
    folder.open()
    assert folder.picture(0).shape == (128, 256, 3)
    with pytest.raises(SkippedFrame, match=line + "; skipped$"):
        folder.picture(1)
