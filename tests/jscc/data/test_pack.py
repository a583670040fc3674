"""Packs: what goes in comes out, within the loss of WebP and the limit."""

import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from jscc.data.batches import read_sources
from jscc.data.pack import read_pack, read_packs, write_pack
from jscc.data.pairs import read_pairs, read_picture
from jscc.pack import main
from jscc.train.pictures import read_pictures
from wire.runtime.errors import UserError


def test_a_pack_holds_what_the_folders_hold(tmp_path: Path, picture_folders: tuple[Path, Path]) -> None:
    pairs, mono = picture_folders
    size, quality = write_pack(tmp_path / "p", [pairs], [mono], pairs, rows=256, limit=10**7, quality=95)
    assert (size, quality) == ((tmp_path / "p").stat().st_size, 95)
    pack, wanted = read_pack(tmp_path / "p"), read_sources([pairs], [mono])
    assert pack.sources.counts() == wanted.counts() == {"colour_pairs": 3, "grey_pairs": 1, "single": 2}
    assert (pack.pair_folders, pack.mono_folders) == (["pairs"], ["mono"])
    for found, meant in zip(pack.sources.colour + pack.sources.grey, wanted.colour + wanted.grey, strict=True):
        for view in (0, 1):
            error = found[view].astype(float) - meant[view]
            assert 10 * np.log10(255**2 / np.square(error).mean()) > 35  # smooth pictures at quality 95
    assert all((picture == picture[..., :1]).all() for pair in pack.sources.grey for picture in pair)
    for kept, original in zip(pack.val, read_pairs(pairs), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(kept, original, strict=True))


def test_the_best_quality_that_fits_is_taken(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "noise").mkdir()
    for number in range(3):
        cv2.imwrite(str(tmp_path / "noise" / f"{number}.png"), rng.integers(0, 256, (400, 512, 3), dtype=np.uint8))
    sizes = {}
    for limit in (200_000, 300_000):
        size, quality = write_pack(tmp_path / "p", [], [tmp_path / "noise"], None, rows=256, limit=limit)
        assert size <= limit
        sizes[quality] = size
    low, high = sorted(sizes)
    assert low < high
    assert sizes[low] < sizes[high]
    assert [picture.shape for picture in read_pack(tmp_path / "p").sources.mono] == [(256, 328, 3)] * 3
    with pytest.raises(UserError, match=r"3 pictures take .* MB at quality 40, and there is room for"):
        write_pack(tmp_path / "q", [], [tmp_path / "noise"], None, rows=256, limit=20_000)
    pairs = tmp_path / "val"
    for side in ("left", "right"):
        (pairs / side).mkdir(parents=True)
        cv2.imwrite(str(pairs / side / "0.png"), rng.integers(0, 256, (128, 256, 3), dtype=np.uint8))
    with pytest.raises(UserError, match=r"room for 0\.0 MB beside 0\.\d MB of --val, which is kept as it is: leave"):
        write_pack(tmp_path / "q", [], [tmp_path / "noise"], pairs, rows=256, limit=20_000)
    assert not (tmp_path / "q").exists()


def test_several_packs_are_read_as_one(tmp_path: Path, picture_folders: tuple[Path, Path]) -> None:
    pairs, mono = picture_folders
    write_pack(tmp_path / "a", [pairs], [], None, rows=256, limit=10**7, quality=80)
    write_pack(tmp_path / "b", [], [mono], pairs, rows=256, limit=10**7, quality=80)
    pack = read_packs([tmp_path / "a", tmp_path / "b"])
    assert pack.sources.counts() == {"colour_pairs": 3, "grey_pairs": 1, "single": 2}
    assert len(pack.val) == 4


def test_what_is_no_pack_is_refused(tmp_path: Path, picture_folders: tuple[Path, Path]) -> None:
    for content in (b"", b"no zip"):
        (tmp_path / "p").write_bytes(content)
        with pytest.raises(UserError, match="cannot be read"):
            read_pack(tmp_path / "p")
    with pytest.raises(UserError, match="cannot be read"):
        read_pack(tmp_path / "absent")
    with zipfile.ZipFile(tmp_path / "p", "w") as file:
        file.writestr("pack.json", '{"format": "vergence-pack-0"}')
    with pytest.raises(UserError, match="format 'vergence-pack-0'"):
        read_pack(tmp_path / "p")
    pairs, _ = picture_folders
    write_pack(tmp_path / "p", [pairs], [], None, rows=256, limit=10**7, quality=80)
    with zipfile.ZipFile(tmp_path / "p") as file, zipfile.ZipFile(tmp_path / "q", "w") as less:
        for name in file.namelist():
            if "right/0" not in name:
                less.writestr(name, file.read(name))
    with pytest.raises(UserError, match="lacks 'colour/pairs/right/0"):
        read_pack(tmp_path / "q")
    with pytest.raises(UserError, match="two folders of pictures are called 'pairs'"):
        write_pack(tmp_path / "r", [pairs, pairs], [], None, rows=256, limit=10**7)


def test_the_command_says_what_it_made(
    tmp_path: Path, picture_folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    pairs, mono = (str(folder) for folder in picture_folders)
    main([pairs, "--mono", mono, "--val", pairs, "--out", str(tmp_path / "p"), "--limit-mb", "2"])
    said = capsys.readouterr().out
    assert "MB at WebP quality 95; 3 colour pairs, 1 grey pairs, 2 single, 4 validation pairs without loss" in said
    with pytest.raises(SystemExit, match=r"python -m jscc.pack: .* has no folder left"):
        main([str(tmp_path), "--out", str(tmp_path / "q")])
    assert read_picture(next(Path(mono).iterdir())).shape == (200, 620, 3)


def write_noise(folder: Path, *sizes: tuple[int, int], name: str = "{}") -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(3)
    for number, size in enumerate(sizes):
        noise = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{name.format(number)}.png"), noise)
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The entries of a pack that has each kind."""
    root = tmp_path_factory.mktemp("small")
    for kind in ("colour", "val"):
        for side in ("left", "right"):
            write_noise(root / kind / side, (128, 256))
    write_noise(root / "mono", (128, 256))
    write_pack(root / "p", [root / "colour"], [root / "mono"], root / "val", rows=256, limit=10**6, quality=40)
    with zipfile.ZipFile(root / "p") as file:
        return {name: file.read(name) for name in file.namelist()}


def write_entries(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return path


def test_a_pack_keeps_what_training_needs(tmp_path: Path) -> None:
    folder = write_noise(tmp_path / "narrow", (1000, 600), (1000, 256), (300, 2000))
    write_pack(tmp_path / "p", [], [folder], None, rows=256, limit=10**7, quality=40)
    found = [picture.shape[:2] for picture in read_pack(tmp_path / "p").sources.mono]
    assert found == [(427, 256), (1000, 256), (256, 1707)]
    for rows in (127, 64, 0, -1):
        with pytest.raises(SystemExit, match=rf"--rows is {rows}; it must be at least 128"):
            main(["--mono", str(folder), "--out", str(tmp_path / "q"), "--rows", str(rows)])
    assert not (tmp_path / "q").exists()


def test_pictures_that_folders_would_be_refused_for_are_refused_in_a_pack(
    tmp_path: Path, small: dict[str, bytes]
) -> None:
    """Such as those of a version whose --rows knew no bound."""
    low = cv2.imencode(".webp", np.zeros((64, 256, 3), np.uint8))[1]
    mono = next(name for name in small if name.startswith("mono/"))
    with pytest.raises(UserError, match=r"mono/0.png.webp is 64x256 \(rows x columns\); training needs"):
        read_pack(write_entries(tmp_path / "p", {**small, mono: bytes(low)}))
    wide = cv2.imencode(".webp", np.zeros((128, 272, 3), np.uint8))[1]
    with pytest.raises(UserError, match=r"the views of val/left/0\.webp differ in size"):
        read_pack(write_entries(tmp_path / "p", {**small, "val/right/0.webp": bytes(wide)}))
    only_val = {name: content for name, content in small.items() if name.startswith(("val/", "pack.json"))}
    with pytest.raises(ValueError, match="no pictures to train on: the packs hold none"):
        read_pictures([], [], None, [write_entries(tmp_path / "p", only_val)])


def test_the_limit_holds_for_long_names_too(tmp_path: Path) -> None:
    """The smaller the pictures, the more of a pack is names."""
    folder = write_noise(tmp_path / ("folder" * 40), name="{:03}" + "n" * 240)
    for number in range(40):
        cv2.imwrite(str(folder / f"{number:03}{'n' * 240}.png"), np.full((128, 256, 3), number, np.uint8))
    size, _ = write_pack(tmp_path / "p", [], [folder], None, rows=256, limit=10**7, quality=40)
    assert size > 40_000  # 40 names of 500 bytes, each twice
    made, _ = write_pack(tmp_path / "p", [], [folder], None, rows=256, limit=size + 1500, quality=40)
    assert made == size
    with pytest.raises(UserError, match="and there is room for"):
        write_pack(tmp_path / "p", [], [folder], None, rows=256, limit=30_000, quality=40)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda entries: entries | {"pack.json": b"[]"}, "has format 'None'"),
        (lambda entries: entries | {"pack.json": b"7"}, "has format 'None'"),
        (lambda entries: entries | {"pack.json": b"[" * 100_000}, "cannot be read"),
        (lambda entries: entries | {"colour/x.webp": entries["val/left/0.webp"]}, "holds 'colour/x.webp', which no"),
        (lambda entries: entries | {"val/left": b""}, "holds 'val/left', which no pack has"),
        (lambda entries: entries | {"mono/x": b""}, "holds 'mono/x', which no pack has"),
        (lambda entries: entries | {"notes.txt": b""}, "holds 'notes.txt', which no pack has"),
        (lambda entries: entries | {"val/middle/0.webp": b""}, "holds 'val/middle/0.webp', which no pack has"),
        (lambda entries: entries | {"val/right/1.webp": entries["val/left/0.webp"]}, "lacks 'val/left/1.webp'"),
        (lambda entries: entries | {"val/left/0.webp": b""}, "val/left/0.webp cannot be decoded"),
        (lambda entries: entries | {"val/left/0.webp": b"nonsense"}, "val/left/0.webp cannot be decoded"),
    ],
)  # fmt: skip
def test_what_a_pack_has_not_is_named(
    tmp_path: Path, small: dict[str, bytes], change: Callable[[dict[str, bytes]], dict[str, bytes]], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        read_pack(write_entries(tmp_path / "p", change(small)))


def test_a_pack_may_be_packed_again_by_hand(tmp_path: Path, small: dict[str, bytes]) -> None:
    """Which writes entries for folders."""
    pack = read_pack(write_entries(tmp_path / "p", {"val/": b"", "val/left/": b"", **small}))
    assert (len(pack.val), pack.sources.counts()["single"]) == (1, 1)


def test_a_damaged_byte_is_never_more_than_one_line(tmp_path: Path, small: dict[str, bytes]) -> None:
    """Of the whole file, most of which are pictures that a checksum covers; of all that is none; and of pictures whose
    checksum is right."""
    chance, path = random.Random(1), write_entries(tmp_path / "p", small)
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as file:
        heads = [at for info in file.infolist() for at in range(info.header_offset, info.header_offset + 30)]
        heads += range(file.start_dir, len(whole))
    refused, lines = 0, list[str]()

    def damaged(content: bytes, at: int) -> bytes:
        return content[:at] + bytes([content[at] ^ chance.randrange(1, 256)]) + content[at + 1 :]

    def read() -> bool:
        try:
            read_pack(path)
        except UserError as error:
            lines.append(str(error))
            return True
        return False

    for number in range(450):
        at = chance.choice(heads) if number % 3 else chance.randrange(len(whole))
        path.write_bytes(damaged(whole, at))
        refused += read()
    assert refused > 150  # bytes such as a date do not matter
    for _ in range(100):
        name = chance.choice(list(small))
        write_entries(path, {**small, name: damaged(small[name], chance.randrange(min(60, len(small[name]))))})
        read()
    for length in range(0, len(whole), len(whole) // 40):
        path.write_bytes(whole[:length])
        assert read()
    assert not any("\n" in line for line in lines)


def test_the_command_refuses_before_it_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for more, said in (
        (["--out", str(tmp_path / "p"), "--limit-mb", "inf"], "--limit-mb is inf; it must be above 0, and finite"),
        (["--out", str(tmp_path / "p"), "--limit-mb", "0"], "--limit-mb is 0.0; it must be above 0"),
        (["--out", str(tmp_path)], f"--out {tmp_path} is a folder"),
        (["--out", str(tmp_path / "none" / "p")], "or its folder does not exist; name a file in one that does"),
    ):
        with pytest.raises(SystemExit):
            main(["nowhere", *more])
        assert said in capsys.readouterr().err
