import numpy as np
import pytest

from edge.camera.framing import fit
from wire.geometry import crop_size
from wire.runtime.errors import FrameError


@pytest.mark.parametrize(
    ("size", "crop"),
    [
        ((370, 1226), (370, 740)),
        ((375, 1242), (370, 740)),
        ((376, 1241), (370, 740)),
        ((256, 512), (256, 512)),
        ((480, 640), (320, 640)),
        ((1080, 1920), (960, 1920)),
        ((375, 750), (375, 750)),
        ((129, 257), (128, 256)),
    ],
)
def test_the_crop_is_two_to_one(size: tuple[int, int], crop: tuple[int, int]) -> None:
    assert crop_size(*size) == crop
    assert fit(np.zeros((*size, 3), np.uint8)).shape == (128, 256, 3)


def test_a_picture_of_the_right_size_passes_untouched() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (128, 256, 3), np.uint8)
    assert fit(picture) is picture


def test_area_resize_of_twice_the_size_is_the_mean_of_four() -> None:
    small = np.random.default_rng(0).integers(0, 256, (128, 256, 3), np.uint8)
    large = small.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(fit(large), small)


def test_the_crop_is_central() -> None:
    picture = np.zeros((256, 1024, 3), np.uint8)
    picture[:, 256:768] = 200
    assert (fit(picture) == 200).all()


@pytest.mark.parametrize(
    ("picture", "reason", "line"),
    [
        (np.zeros((0, 0, 3), np.uint8), "shape", "empty"),
        (np.zeros((480, 640), np.uint8), "shape", "480x640; set the camera to colour"),
        (np.zeros((480, 640, 4), np.uint8), "shape", "480x640x4"),
        (np.zeros((480, 640, 3), np.uint16), "type", "uint16; set the camera to 8 bits"),
        (np.zeros((120, 640, 3), np.uint8), "shape", r"120x640 \(rows x columns\); at least 128x256"),
        (np.zeros((480, 255, 3), np.uint8), "shape", "at least 128x256"),
    ],
)
def test_a_wrong_picture_is_refused_with_a_clear_line(picture: np.ndarray, reason: str, line: str) -> None:
    with pytest.raises(FrameError, match=line) as refused:
        fit(picture)
    assert refused.value.reason == reason
