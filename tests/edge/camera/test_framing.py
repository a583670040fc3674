import numpy as np
import pytest

from edge.camera.framing import Framing, fit, largest_within
from wire.geometry import LARGEST_SIZE, PictureSize, crop_size
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


def shaped(rows: int, columns: int) -> np.ndarray:
    return np.zeros((rows, columns, 3), np.uint8)


@pytest.mark.parametrize(
    ("picture", "size"), [((1080, 1920), "256x512"), ((720, 1280), "512x1024"), ((375, 1242), "192x640")]
)
def test_pictures_are_brought_to_the_size_that_is_set(picture: tuple[int, int], size: str) -> None:
    wanted = PictureSize.parse(size)
    assert Framing(wanted).fit(shaped(*picture)).shape == (wanted.rows, wanted.columns, 3)


def test_a_wide_size_takes_a_wide_cut() -> None:
    picture = shaped(400, 1280)
    picture[8:392] = 200
    assert (Framing(PictureSize(192, 640)).fit(picture) == 200).all()


def test_nothing_is_made_larger_than_it_came() -> None:
    with pytest.raises(FrameError) as refused:
        Framing(PictureSize(256, 512)).fit(shaped(250, 512))
    assert str(refused.value) == (
        "the picture is 250x512 (rows x columns); at least 256x512 is needed: set the camera to a larger size, or give"
        " larger pictures, or set size to a smaller one"
    )


@pytest.mark.parametrize(
    ("picture", "limit", "size"),
    [
        ((1080, 1920), "512x1024", "512x1024"),
        ((1080, 1920), "256x512", "256x512"),
        ((1080, 1920), "512x512", "256x512"),
        ((480, 640), "512x1024", "320x640"),
        ((375, 1242), "512x1024", "368x736"),
        ((129, 257), "512x1024", "128x256"),
        ((512, 272), "512x1024", "128x256"),
    ],
)
def test_auto_is_the_largest_size_that_needs_no_enlarging(picture: tuple[int, int], limit: str, size: str) -> None:
    assert str(largest_within(*picture, PictureSize.parse(limit))) == size
    framing = Framing(None, PictureSize.parse(limit))
    assert "x".join(map(str, framing.fit(shaped(*picture)).shape)) == f"{size}x3"
    assert str(framing.size) == size


def test_the_first_picture_decides_for_all() -> None:
    framing = Framing(None, LARGEST_SIZE)
    with pytest.raises(FrameError, match="at least 128x256 is needed"):
        framing.fit(shaped(120, 640))
    assert framing.size is None, "a picture that is too small decides nothing"
    framing.fit(shaped(256, 512))
    assert framing.fit(shaped(720, 1280)).shape == (256, 512, 3)
    with pytest.raises(FrameError, match="at least 256x512 is needed"):
        framing.fit(shaped(240, 480))
