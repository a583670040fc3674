"""Packs: what goes in comes out, within the loss of WebP and the limit."""

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from jscc.data.batches import read_sources
from jscc.data.pack import read_pack, read_packs, write_pack
from jscc.data.pairs import read_pairs, read_picture
from jscc.pack import main
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
