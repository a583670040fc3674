"""Pictures on disk as training, validation and bench take them: one reader, one crop.

Every kind of file against every reader: tests/system/test_readers.py.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edge.camera import framing
from jscc import kitti
from jscc.data.batches import read_sources
from jscc.data.pairs import list_pairs, list_pictures, read_cropped, read_pairs
from jscc.evaluate.session import read_scenes
from jscc.train.validation import read_validation
from tests.jscc.evaluate.conftest import made_up_pair, write_pairs
from wire.crop import center_crop
from wire.geometry import LARGEST_SIZE, PictureSize
from wire.runtime.errors import UserError

Pixels = NDArray[np.uint8]
ORIENTATION = 0x0112


def training(folder: Path) -> Pixels:
    sources = read_sources([folder], [])
    return np.stack([center_crop(view) for pair in sources.colour + sources.grey for view in pair])


def validation(folder: Path) -> Pixels:
    planes = (read_validation(folder) * 255).round().byte().numpy()
    return np.ascontiguousarray(planes.reshape(-1, 3, 128, 256).transpose(0, 2, 3, 1))


def bench(folder: Path) -> Pixels:
    return np.concatenate([scene.views for scene in read_scenes(folder)]).transpose(0, 2, 3, 1)


READERS = (training, validation, bench)


def drawn(seed: int = 0, size: tuple[int, int] = (300, 700)) -> Pixels:
    """A picture whose corners differ, smooth enough for JPEG."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 12, 3), np.uint8))
    return np.asarray(small.resize(size[::-1], Image.Resampling.BICUBIC))


def save(folder: Path, suffix: str, change: Callable[[Image.Image], Image.Image], **options: Any) -> Path:
    """Two pairs with this suffix, changed."""
    for number, side in enumerate(("left", "right")):
        (folder / side).mkdir(parents=True)
        for name in (0, 1):
            picture = change(Image.fromarray(drawn(2 * name + number)))
            picture.save(folder / side / f"{name}{suffix}", **options)
    return folder


def turned(way: int) -> dict[str, object]:
    exif = Image.Exif()
    exif[ORIENTATION] = way
    return {"exif": exif}


def test_pictures_stand_the_way_up_that_their_orientation_says(tmp_path: Path) -> None:
    plain = bench(save(tmp_path / "plain", ".png", lambda picture: picture))
    stored = save(
        tmp_path / "turned", ".png", lambda picture: picture.transpose(Image.Transpose.ROTATE_180), **turned(3)
    )
    for reader in READERS:
        np.testing.assert_array_equal(reader(stored), plain)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_training_takes_grey_pictures_and_the_bench_does_not(mode: str, tmp_path: Path) -> None:
    save(tmp_path, ".png", lambda picture: picture.convert("L").convert(mode))
    assert len(read_sources([tmp_path], []).grey) == 2
    np.testing.assert_array_equal(training(tmp_path), validation(tmp_path))
    assert "is grey" in complaint(tmp_path)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("reader", READERS)
def test_a_file_that_is_cut_off_is_refused_by_name(
    reader: Callable[[Path], Pixels], suffix: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path, suffix, lambda picture: picture)
    cut_off(tmp_path / "right" / f"1{suffix}")
    with pytest.raises(UserError, match=rf"right/1\{suffix} is (cut off or damaged|not a readable picture)"):
        reader(tmp_path)
    assert capfd.readouterr().err == ""  # the library's own lines would stand beside ours


@pytest.mark.parametrize("reader", READERS)
def test_twelve_bits_in_sixteen_are_refused_and_not_taken_for_black(
    reader: Callable[[Path], Pixels], tmp_path: Path
) -> None:
    save(tmp_path, ".png", lambda picture: Image.fromarray(np.asarray(picture)[..., 0].astype(np.uint16) * 16))
    with pytest.raises(UserError, match="has more than 8 bits a colour"):
        reader(tmp_path)


def test_what_macos_leaves_beside_a_file_is_no_picture(tmp_path: Path) -> None:
    save(tmp_path, ".png", lambda picture: picture)
    for side in ("left", "right"):
        (tmp_path / side / "._0.png").write_bytes(b"\x00\x05\x16\x07 Mac OS X")
    for reader in READERS:
        assert len(reader(tmp_path)) == 4
    assert len(read_sources([], [tmp_path / "left"]).mono) == 2


def test_names_are_in_natural_order(tmp_path: Path) -> None:
    names = ["frame0", "frame2", "frame10", "frame11"]
    write_pairs(tmp_path, [made_up_pair(name, number) for number, name in enumerate(names)])
    assert [scene.name for scene in read_scenes(tmp_path)] == names
    assert [path.stem for path in list_pictures(tmp_path / "left")] == names
    assert [scene.name for scene in read_scenes(tmp_path, limit=2)] == ["frame0", "frame10"]
    expected = [made_up_pair(name, number).views[0, 0, 0, 0] for number, name in enumerate(names)]
    assert [left[0, 0, 0] for left, _ in read_pairs(tmp_path)] == expected


def complaint(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_scenes(folder)
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


def test_pairs_come_back_as_they_were(tmp_path: Path) -> None:
    write_pairs(tmp_path, [made_up_pair("a", 1), made_up_pair("b", 2)])
    pairs = read_scenes(tmp_path)
    assert [pair.name for pair in pairs] == ["a", "b"]
    assert np.array_equal(pairs[0].views, made_up_pair("a", 1).views)
    assert [pair.name for pair in read_scenes(tmp_path, limit=1)] == ["a"]


def test_a_picture_without_its_partner_is_named(one: Path) -> None:
    write_pairs(one, [made_up_pair("b"), made_up_pair("c")])
    (one / "right" / "b.png").unlink()
    lonely = f"{one / 'left' / 'b.png'} has no partner of that name in {one / 'right'}"
    assert complaint(one) == lonely
    (one / "right" / "c.png").unlink()
    assert complaint(one) == f"{lonely} (and 1 more)"
    with pytest.raises(UserError, match=r"b\.png has no partner"):
        read_pairs(one)


def test_pairs_in_folders_below_are_matched_by_their_path(tmp_path: Path) -> None:
    for side, add in (("left", 0), ("right", 1)):
        for scene, value in (("a", 10), ("b", 20)):
            (tmp_path / side / scene).mkdir(parents=True)
            Image.fromarray(np.full((8, 8, 3), value + add, np.uint8)).save(tmp_path / side / scene / "0.png")
    assert [(left[0, 0, 0], right[0, 0, 0]) for left, right in read_pairs(tmp_path)] == [(10, 11), (20, 21)]
    assert list(list_pairs(tmp_path)) == ["a/0", "b/0"]
    (tmp_path / "right" / "b" / "0.png").unlink()
    with pytest.raises(UserError, match=r"left/b/0\.png has no partner of that name"):
        read_pairs(tmp_path)


def test_views_may_have_different_suffixes_but_a_view_only_one_of_a_name(one: Path) -> None:
    (one / "right" / "a.png").rename(one / "right" / "a.bmp")
    assert list(list_pairs(one)) == ["a"]
    (one / "right" / "a.png").write_bytes((one / "left" / "a.png").read_bytes())
    assert "have the same name; keep one of them" in complaint(one)


def test_views_of_different_sizes_are_refused(one: Path) -> None:
    wide = Image.fromarray(np.random.default_rng(0).integers(0, 255, (128, 300, 3), np.uint8))
    assert "differ in size, 128x256 and 128x300 (rows x columns)" in complaint(replace(one, "right", wide))


def test_pictures_that_are_too_small_are_refused(one: Path) -> None:
    small = Image.fromarray(np.random.default_rng(0).integers(0, 255, (127, 256, 3), np.uint8))
    replace(replace(one, "left", small), "right", small)
    assert complaint(one).endswith("left/a.png is 127x256 (rows x columns); the bench needs at least 128x256")
    for folders, mono in (([one], []), ([], [one / "right"])):
        with pytest.raises(UserError, match=r"127x256 \(rows x columns\); training needs at least 128x256"):
            read_sources(folders, mono)


def test_a_file_that_is_no_picture_is_named(one: Path) -> None:
    (one / "left" / "a.png").write_bytes(b"not a picture")
    assert complaint(one) == f"{one / 'left' / 'a.png'} is not a readable picture; replace or remove it"


def test_a_folder_that_holds_no_pairs_is_named(tmp_path: Path) -> None:
    assert complaint(tmp_path) == f"{tmp_path} has no folder left/; pairs are left/NAME.png and right/NAME.png"
    (tmp_path / "left").mkdir()
    assert "left has no pictures (.bmp, .jpeg," in complaint(tmp_path)
    with pytest.raises(UserError, match="has no pictures"):
        list_pictures(tmp_path)


def test_a_larger_picture_is_cropped_to_two_to_one_and_averaged() -> None:
    pixels = np.zeros((256, 600, 3), np.uint8)
    pixels[::2, 44:556] = (100, 50, 0)  # every second row of the crop's 512 columns
    fitted = center_crop(pixels)
    assert fitted.shape == (128, 256, 3)
    assert [int(plane.min()) for plane in fitted.T] == [int(plane.max()) for plane in fitted.T] == [50, 25, 0]


def test_pairs_are_read_in_the_size_that_edges_are_set_to(tmp_path: Path) -> None:
    size, pixels = PictureSize(256, 512), np.random.default_rng(1).integers(0, 256, (375, 1242, 3), np.uint8)
    for side in ("left", "right"):
        (tmp_path / side).mkdir()
        Image.fromarray(pixels).save(tmp_path / side / "a.png")
    (views,) = read_cropped(tmp_path, "the bench", size=size).values()
    assert np.array_equal(views[0].transpose(1, 2, 0), framing.Framing(size).fit(pixels))
    with pytest.raises(UserError, match=r"is 375x1242 \(rows x columns\); the bench needs at least 512x1024"):
        read_cropped(tmp_path, "the bench", size=LARGEST_SIZE)


@pytest.mark.parametrize("size", [(375, 1242), (375, 1243), (300, 700), (480, 640), (129, 257), (128, 256)])
def test_bench_and_edge_see_the_same_picture(size: tuple[int, int], tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    for side in ("left", "right"):
        (tmp_path / side).mkdir()
        Image.fromarray(pixels).save(tmp_path / side / "a.png")
    (views,) = read_cropped(tmp_path, "the bench").values()
    assert np.array_equal(views[0].transpose(1, 2, 0), framing.fit(pixels))


def test_kitti_is_cut_for_the_paper_as_the_edge_cuts_it() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (375, 1242, 3), np.uint8)
    assert np.array_equal(kitti.paper_crop(pixels), framing.fit(pixels))
