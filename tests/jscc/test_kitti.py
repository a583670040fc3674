import dataclasses
import errno
import hashlib
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest

from jscc import kitti
from jscc.data.pairs import read_pairs


def picture(value: int, rows: int = 375, columns: int = 1242) -> np.ndarray:
    """Blue tells the row, green the column, red the picture."""
    row, column = np.mgrid[:rows, :columns]
    return np.stack((row // 2, column // 5, np.full_like(row, value)), -1).astype(np.uint8)


def png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def members(folders: tuple[str, str]) -> dict[str, np.ndarray]:
    """Scene 0 of both parts, frames 10 and 11, and what else the archives hold."""
    return {
        f"{part}/{folder}/000000_{frame}.png": picture(100 * side + frame)
        for part in ("training", "testing")
        for side, folder in enumerate(folders)
        for frame in (9, 10, 11)
    }


def pack(path: Path, files: Mapping[str, np.ndarray | bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("training/", b"")
        for name, content in files.items():
            archive.writestr(name, content if isinstance(content, bytes) else png(content))


@pytest.fixture(autouse=True)
def _one_scene(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """KITTI with one scene in each part instead of 200."""
    if "whole_split" not in request.fixturenames:
        small = tuple(dataclasses.replace(benchmark, training=1, testing=1) for benchmark in kitti.BENCHMARKS)
        monkeypatch.setattr(kitti, "BENCHMARKS", small)


@pytest.fixture
def whole_split() -> None:
    """The true number of scenes."""


@pytest.fixture
def archives(tmp_path: Path) -> Path:
    folder = tmp_path / "archives"
    folder.mkdir()
    pack(folder / "data_scene_flow_multiview.zip", members(("image_2", "image_3")))
    pack(folder / "data_stereo_flow_multiview.zip", members(("image_2", "image_3")))
    return folder


def run(archives: Path, out: Path) -> int:
    return kitti.main(["--archives", str(archives), "--out", str(out)])


def refused(archives: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert run(archives, out) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert not list(out.rglob("*.partial"))
    return said


# sha256 over the lists of ipc-lab/NDIC (MIT licence): every pair once, the left picture first, sorted, a name a line
LISTS = {
    "train": (788, "95b24cd7c87eee2a038c64e6229b2dc537f907d0584f6980786eeb4bde63af68"),
    "val": (395, "590459faeca768d5e278e0f896342cc360996b25616bbaa64108121b9ea7716c"),
    "test": (395, "edaabadb51ff024ccafb9a14c4912b6d6fc79799d00ea68b76f59586be5b5852"),
}


@pytest.mark.parametrize("split", LISTS)
@pytest.mark.usefixtures("whole_split")
def test_the_split_is_the_one_of_the_lists(split: str) -> None:
    lines = []
    for pair in kitti.pairs_of(split):
        archive, *views = pair.benchmark.archives[0]
        lines.append("".join(f"{archive}/{pair.member(view)}\n" for view in views))
    count, digest = LISTS[split]
    assert len(lines) == count
    assert hashlib.sha256("".join(sorted(lines)).encode()).hexdigest() == digest


def test_zips_become_folders_that_the_trainer_reads(
    archives: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "kitti"
    assert run(archives, out) == 0
    assert "8/8 pairs" in capsys.readouterr().out
    shapes = {name: {view.shape for pair in read_pairs(out / name) for view in pair} for name in kitti.FORMS}
    assert shapes["train"] == {(256, 848, 3)}
    assert shapes["train-paper"] == shapes["val"] == shapes["test"] == {(128, 256, 3)}
    frames = {name: sorted({int(pair[0][0, 0, 0]) for pair in read_pairs(out / name)}) for name in kitti.FORMS}
    assert frames == {"train": [10, 11], "train-paper": [10, 11], "val": [11], "test": [10]}
    assert all(right[0, 0, 0] - left[0, 0, 0] == 100 for left, right in read_pairs(out / "val"))
    assert sorted(path.name for path in (out / "val" / "left").iterdir()) == [
        "kitti2012-testing-000000_11.png",
        "kitti2015-testing-000000_11.png",
    ]


def test_the_archives_are_closed_whatever_happens(
    archives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[zipfile.ZipFile] = []

    class Noted(zipfile.ZipFile):
        def __init__(self, path: Path) -> None:
            super().__init__(path)
            opened.append(self)

    monkeypatch.setattr("jscc.kitti.zipfile.ZipFile", Noted)
    assert run(archives, tmp_path / "kitti") == 0
    (archives / "data_stereo_flow_multiview.zip").write_bytes(b"")
    assert run(archives, tmp_path / "again") == 2
    assert len(opened) == 3
    assert all(archive.fp is None for archive in opened)


def test_the_crop_is_the_centre_and_every_pixel_counts() -> None:
    cropped = kitti.paper_crop(picture(0))
    # rows 2...371 and columns 251...990 of 375 x 1242; a pixel is the mean of about 2.9 x 2.9
    assert cropped[0, 0, 0] == 1
    assert cropped[-1, -1, 0] == 185
    assert cropped[0, 0, 1] == 50
    assert cropped[-1, -1, 1] == 197
    spike = np.zeros((370, 740, 3), np.uint8)
    spike[200, 300] = 255
    assert kitti.paper_crop(spike).sum() > 0


def test_unpacked_folders_and_the_small_archives_give_the_same(archives: Path, tmp_path: Path) -> None:
    assert run(archives, tmp_path / "a") == 0
    other = tmp_path / "other"
    with zipfile.ZipFile(archives / "data_scene_flow_multiview.zip") as archive:
        archive.extractall(other / "data_scene_flow_multiview")
    pack(other / "data_stereo_flow.zip", members(("colored_0", "colored_1")))
    assert run(other, tmp_path / "b") == 0
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.png"))
    assert len(files) == 24
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)


def test_a_second_call_makes_only_what_is_missing_or_broken(
    archives: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "kitti"
    run(archives, out)
    made = {path: path.read_bytes() for path in out.rglob("*.png")}
    left, right = sorted((out / "train").rglob("*11.png"))[:2]
    left.unlink()
    right.write_bytes(made[right][:1000])
    untouched = {path: path.stat().st_mtime_ns for path in made if path not in (left, right)}
    capsys.readouterr()
    assert run(archives, out) == 0
    assert "(6 pairs were there already)" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in out.rglob("*.png")} == made
    assert all(path.stat().st_mtime_ns == moment for path, moment in untouched.items())


def test_a_missing_archive_is_named_with_its_page(
    archives: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (archives / "data_stereo_flow_multiview.zip").unlink()
    said = refused(archives, tmp_path / "out", capsys)
    assert "neither data_stereo_flow_multiview.zip nor data_stereo_flow.zip" in said
    assert "'Stereo Evaluation 2012', https://www.cvlibs.net/datasets/kitti/" in said
    assert "no such folder" in refused(tmp_path / "nowhere", tmp_path / "out", capsys)


def test_a_missing_member_is_named(archives: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = members(("image_2", "image_3"))
    del files["training/image_3/000000_11.png"]
    pack(archives / "data_scene_flow_multiview.zip", files)
    said = refused(archives, tmp_path / "out", capsys)
    assert "1 of 4 pairs are not in" in said
    assert "training/image_3/000000_11.png" in said
    assert not (tmp_path / "out").exists()


def test_damaged_archives_are_named(archives: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zipped = archives / "data_scene_flow_multiview.zip"
    good = zipped.read_bytes()
    zipped.write_bytes(good[: len(good) // 2])  # a download that broke off
    assert "data_scene_flow_multiview.zip is damaged or incomplete" in refused(archives, tmp_path / "a", capsys)
    with zipfile.ZipFile(archives / "data_stereo_flow_multiview.zip") as archive:
        start = archive.getinfo("training/image_2/000000_10.png").header_offset + 200
    zipped.write_bytes(good[:start] + bytes(50) + good[start + 50 :])  # bad bits in one picture
    said = refused(archives, tmp_path / "b", capsys)
    assert "training/image_2/000000_10.png cannot be read" in said
    assert "download the archive again" in said


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (picture(1, 300, 1242), r"is 300x1242 (rows x columns); the paper's crop needs 370x740"),
        (picture(1, 375, 700), "is 375x700"),
        (picture(1)[..., 0], "is not an 8-bit colour picture"),
        (png(picture(1))[:-20], "is not a whole PNG picture"),
        (picture(1, 375, 1241), "the two views of kitti2015-training-000000_10.png differ in size"),
    ],
    ids=["rows", "columns", "grey", "cut", "views"],
)
def test_pictures_of_the_wrong_kind_are_named(
    archives: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: np.ndarray | bytes, line: str
) -> None:
    files: dict[str, np.ndarray | bytes] = dict(members(("image_2", "image_3")))
    files["training/image_2/000000_10.png"] = content
    pack(archives / "data_scene_flow_multiview.zip", files)
    assert line in refused(archives, tmp_path / "out", capsys)


def test_a_full_disk_leaves_no_half_picture(
    archives: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, write_bytes = tmp_path / "out", Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if "000000_11" in path.name:
            write_bytes(path, data[:100])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    said = refused(archives, out, capsys)
    assert "no space left on device; the whole set takes 0.8 GB; the same command goes on from here" in said
    assert all(kitti.whole_png(path.read_bytes()) for path in out.rglob("*.*"))
    (tmp_path / "file").write_text("in the way")
    assert "cannot write" in refused(archives, tmp_path / "file", capsys)
