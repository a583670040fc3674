from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge.camera import framing
from jscc import kitti
from jscc.data.batches import centre
from jscc.data.pairs import fit, read_pairs
from tests.evaluate.conftest import made_up_pair, write_pairs
from wire.runtime.errors import UserError


def complaint(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_pairs(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


def replace(folder: Path, side: str, picture: Image.Image) -> Path:
    for path in (folder / side).iterdir():
        picture.save(path)
    return folder


@pytest.fixture
def one(tmp_path: Path) -> Path:
    return write_pairs(tmp_path, [made_up_pair("a")])


def test_pairs_come_back_as_they_were(folder: Path) -> None:
    pairs = read_pairs(folder)
    assert [pair.name for pair in pairs] == ["a", "b"]
    assert np.array_equal(pairs[0].views, made_up_pair("a", 1).views)
    assert [pair.name for pair in read_pairs(folder, limit=1)] == ["a"]


def test_a_larger_picture_is_cropped_to_two_to_one_and_averaged() -> None:
    pixels = np.zeros((256, 600, 3), np.uint8)
    pixels[::2, 44:556] = (100, 50, 0)  # every second row of the crop's 512 columns
    fitted = fit(Image.fromarray(pixels))
    assert fitted.shape == (3, 128, 256)
    assert [int(plane.min()) for plane in fitted] == [int(plane.max()) for plane in fitted] == [50, 25, 0]


def test_a_picture_without_its_partner_is_named(one: Path) -> None:
    write_pairs(one, [made_up_pair("b")])
    (one / "right" / "b.png").unlink()
    assert complaint(one).startswith(f"{one / 'left' / 'b.png'} has no partner of that name in {one / 'right'}")


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_grey_pictures_are_refused_also_when_stored_as_colour(one: Path, mode: str) -> None:
    grey = Image.fromarray(np.full((128, 256), 7, np.uint8)).convert(mode)
    assert "is grey" in complaint(replace(one, "left", grey))


def test_views_of_different_sizes_are_refused(one: Path) -> None:
    wide = Image.fromarray(np.random.default_rng(0).integers(0, 255, (128, 300, 3), np.uint8))
    assert "128x256 and 128x300 (rows x columns)" in complaint(replace(one, "right", wide))


def test_pictures_that_are_too_small_are_refused(one: Path) -> None:
    small = Image.fromarray(np.random.default_rng(0).integers(0, 255, (127, 256, 3), np.uint8))
    assert "127x256 (rows x columns); pictures must have at least 128x256" in complaint(replace(one, "left", small))


def test_a_file_that_is_no_picture_is_named(one: Path) -> None:
    (one / "left" / "a.png").write_bytes(b"not a picture")
    assert complaint(one).startswith(f"cannot read the picture {one / 'left' / 'a.png'}")


def test_a_folder_that_holds_no_pairs_is_named(tmp_path: Path) -> None:
    assert complaint(tmp_path) == f"{tmp_path} has no folder left/; pairs are left/NAME.png and right/NAME.png"
    (tmp_path / "left").mkdir()
    assert "has no pictures" in complaint(tmp_path)


def test_odd_sizes_are_cropped_and_resized() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (375, 1243, 3), np.uint8)
    assert fit(Image.fromarray(pixels)).shape == (3, 128, 256)
    assert fit(Image.fromarray(pixels[:129, :257])).shape == (3, 128, 256)


@pytest.mark.parametrize("size", [(375, 1242), (300, 700), (480, 640), (129, 257), (128, 256)])
def test_bench_validation_and_edge_see_the_same_picture(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    sent = framing.fit(pixels)
    assert np.array_equal(fit(Image.fromarray(pixels)).transpose(1, 2, 0), sent)
    assert np.array_equal(centre(pixels), sent)


def test_kitti_is_cut_for_the_paper_as_the_edge_cuts_it() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (375, 1242, 3), np.uint8)
    assert np.array_equal(kitti.centre_crop(pixels), framing.fit(pixels))
