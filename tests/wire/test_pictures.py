"""One reader for camera, trainer and bench: every kind of picture file that the field has, and its pixels."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wire import pictures
from wire.pictures import PictureError, list_pictures, read_picture

FIELD = next(
    (found for up in Path(__file__).resolve().parents if (found := up / "shared" / "data" / "field").is_dir()),
    Path("none"),
)


def drawn() -> np.ndarray:
    """Four flat quarters of known colours, 64x96, so that lossy formats keep them to a few levels."""
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:32, :48] = (200, 40, 40)
    picture[:32, 48:] = (40, 180, 60)
    picture[32:, :48] = (50, 60, 190)
    picture[32:, 48:] = (220, 210, 120)
    return picture


def corners(picture: np.ndarray) -> list[list[int]]:
    """The middle of each quarter, row by row."""
    rows, columns = picture.shape[:2]
    return [
        picture[row, column].tolist()
        for row in (rows // 4, 3 * rows // 4)
        for column in (columns // 4, 3 * columns // 4)
    ]


def encoded(suffix: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(drawn()).save(file, Image.registered_extensions()[suffix], **options)  # type: ignore[arg-type]
    return file.getvalue()


@pytest.mark.parametrize("suffix", pictures.SUFFIXES)
def test_every_suffix_that_is_listed_can_be_read_with_its_colours(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"a{suffix.upper()}").write_bytes(encoded(suffix))
    (listed,) = list_pictures(tmp_path)
    read = read_picture(listed)
    assert (read.shape, read.dtype, read.flags.writeable) == ((64, 96, 3), np.uint8, True)
    np.testing.assert_allclose(corners(read), corners(drawn()), atol=6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_in_the_file_is_obeyed(orientation: int, tmp_path: Path) -> None:
    """The stored pixels are what a camera held that way would store; all eight show the same scene upright."""
    upright = drawn()
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("a.jpg", "a.png", "a.webp"):
        Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / name, exif=exif)
        read = read_picture(tmp_path / name)
        assert read.shape == upright.shape, name
        np.testing.assert_allclose(corners(read), corners(upright), atol=6, err_msg=name)


def test_cmyk_palettes_and_transparency_become_rgb(tmp_path: Path) -> None:
    picture = Image.fromarray(drawn())
    picture.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    picture.convert("CMYK").save(tmp_path / "cmyk.tif")
    picture.quantize(16).save(tmp_path / "palette.png")
    picture.convert("RGBA").save(tmp_path / "alpha.png")
    for path in list_pictures(tmp_path):
        np.testing.assert_allclose(corners(read_picture(path)), corners(drawn()), atol=8, err_msg=path.name)


@pytest.mark.parametrize("suffix", [".bmp", ".jpg", ".png", ".ppm", ".tif", ".webp"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_file_that_is_cut_off_is_refused_by_name(suffix: str, share: float, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    noise = Image.fromarray(rng.integers(0, 255, (64, 96, 3)).astype(np.uint8))
    noise.save(tmp_path / f"whole{suffix}")
    content = (tmp_path / f"whole{suffix}").read_bytes()
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(content[: int(len(content) * share)])
    assert read_picture(tmp_path / f"whole{suffix}").shape == (64, 96, 3)
    with pytest.raises(PictureError, match=rf"cut\{suffix} is (cut off or damaged|not a readable picture).*; replace"):
        read_picture(cut)


def deep_png(channels: int) -> bytes:
    """12 bits in 16, as machine cameras store them; Pillow cannot write such colours, so by hand."""
    import struct
    import zlib

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    rows = b"".join(b"\0" + struct.pack(">H", 3000) * channels * 8 for _ in range(8))
    header = struct.pack(">IIBBBBB", 8, 8, 16, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("grey.png", deep_png(1)),
        ("colour.png", deep_png(3)),
        ("alpha.png", deep_png(4)),
        ("a.ppm", b"P6 8 8 4095\n" + bytes(8 * 8 * 6)),
    ],
)
def test_more_than_eight_bits_are_refused_not_shown_near_black(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PictureError, match=rf"{name} has more than 8 bits a colour; save it with 8$"):
        read_picture(tmp_path / name)


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
def test_grey_is_refused_with_one_sentence(mode: str, tmp_path: Path) -> None:
    Image.new(mode, (8, 8)).save(tmp_path / "g.png")
    with pytest.raises(PictureError, match=r"g\.png is grey; give pictures in colour$"):
        read_picture(tmp_path / "g.png")


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    (tmp_path / "empty.png").touch()
    for name in ("a.jpg", "empty.png"):
        with pytest.raises(PictureError, match=f"{name} is not a readable picture"):
            read_picture(tmp_path / name)
    with pytest.raises(PictureError, match=r"gone\.png cannot be read \(no such file"):
        read_picture(tmp_path / "gone.png")
    with pytest.raises(PictureError, match=r"none: cannot be read \(no such file"):
        list_pictures(tmp_path / "none")


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(".png"))
    whole = os.fstat
    seen: list[int] = []

    def fstat(descriptor: int) -> os.stat_result:
        if not seen:
            seen.append(descriptor)
            before = whole(descriptor)
            with path.open("ab") as file:
                file.write(b"more")
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
            return before
        return whole(descriptor)

    monkeypatch.setattr(os, "fstat", fstat)
    with pytest.raises(PictureError, match=r"a\.png changed while it was read; write pictures under another name"):
        read_picture(path)


def test_names_sort_by_their_numbers_and_hidden_files_do_not_count(tmp_path: Path) -> None:
    names = [f"frame{n}.png" for n in range(12)]
    for name in [*names, "._frame0.png", ".hidden.jpg", "notes.txt"]:
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in list_pictures(tmp_path)] == names


def test_folders_below_are_listed_on_request(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/10.png", "a10/0.png", "a9/0.png", ".trash/0.png", "0.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    listed = [path.relative_to(tmp_path).as_posix() for path in list_pictures(tmp_path, recursive=True)]
    assert listed == ["0.png", "a9/0.png", "a10/0.png", "b/2.png", "b/10.png"]
    assert [path.name for path in list_pictures(tmp_path)] == ["0.png"]


@pytest.mark.skipif(not FIELD.is_dir(), reason="shared/data/field is not here: real files of the field stay unread")
def test_real_files_of_the_field() -> None:
    for side in ("left", "right"):
        for kind in ("exif", "cmyk"):
            for path in list_pictures(FIELD / kind / side):
                assert read_picture(path).shape == (260, 520, 3)
        for path in list_pictures(FIELD / "grey16" / side):
            with pytest.raises(PictureError, match="more than 8 bits"):
                read_picture(path)
    with pytest.raises(PictureError, match=r"2\.jpg is cut off or damaged"):
        read_picture(FIELD / "trunc" / "left" / "2.jpg")
    assert list_pictures(FIELD / "mac" / "left") == []
    with pytest.raises(PictureError, match=r"5\.jpg is not a readable picture"):
        read_picture(FIELD / "broken-mid" / "left" / "5.jpg")
