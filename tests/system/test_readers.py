"""The table of docs/cameras.md, cell by cell: every kind of picture file, as camera, training and bench take it.

What two of them read has the same pixels, and shows the scene the right way up.
"""

import functools
import io
import re
import struct
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edge.camera.frame_clock import FrameClock
from edge.camera.framing import fit
from edge.camera.sources.base import Clocked, SkippedFrame
from edge.camera.sources.folder import Folder
from jscc.data.batches import read_sources
from jscc.data.pairs import read_cropped
from jscc.evaluate.session import read_scenes
from wire.crop import center_crop
from wire.runtime.errors import UserError
from wire.views import View

Pixels = NDArray[np.uint8]
ROOT = Path(__file__).resolve().parents[2]
ORIENTATION = 0x0112
ENOUGH_DB = 24.0
"""JPEG and a palette cost a little; a picture that lies on its side, or beside its place, is below 15 dB."""


@functools.cache
def scene(rows: int = 276, columns: int = 544) -> Image.Image:
    """Smooth, and different in every corner."""
    coarse = Image.fromarray(np.random.default_rng(11).integers(0, 255, (9, 17, 3)).astype(np.uint8))
    return coarse.resize((columns, rows), Image.Resampling.BICUBIC)


def encoded(kind: str, mode: str = "RGB", picture: Image.Image | None = None, **options: Any) -> bytes:
    content = io.BytesIO()
    (picture or scene()).convert(mode).save(content, kind, **options)
    return content.getvalue()


def turned(kind: str, orientation: int) -> bytes:
    """As a camera stores it that was held so; what the orientation says makes it upright again."""
    way = Image.Transpose
    undone = {
        2: way.FLIP_LEFT_RIGHT,
        3: way.ROTATE_180,
        4: way.FLIP_TOP_BOTTOM,
        5: way.TRANSPOSE,
        6: way.ROTATE_90,
        7: way.TRANSVERSE,
        8: way.ROTATE_270,
    }
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encoded(kind, picture=scene().transpose(undone[orientation]), exif=exif)


def deep_png(channels: int) -> bytes:
    """12 bits in 16, as machine cameras store them; Pillow cannot write such colours, so by hand."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    row = b"\0" + struct.pack(">H", 3000) * channels * 256
    header = struct.pack(">IIBBBBB", 256, 128, 16, {1: 0, 3: 2}[channels], 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row * 128)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


DEEP_GREY = Image.fromarray(np.full((128, 256), 3000, np.uint16))
OTHER = ("zz.png", encoded("PNG"))
GREY_SCENE = Image.merge("RGB", [scene().convert("L")] * 3)

# By the first column of the table: files of that kind, each with its name.
KINDS: dict[str, list[tuple[str, bytes]]] = {
    "PNG, plain or interlaced": [("a.png", encoded("PNG")), ("b.png", encoded("PNG", bits=8, interlace=1))],
    "JPEG, plain or progressive": [("a.jpg", encoded("JPEG")), ("b.jpeg", encoded("JPEG", progressive=True))],
    "WebP, with or without loss": [("a.webp", encoded("WEBP")), ("b.webp", encoded("WEBP", lossless=True))],
    "TIFF, plain or compressed": [("a.tif", encoded("TIFF")), ("b.tiff", encoded("TIFF", compression="tiff_lzw"))],
    "BMP": [("a.bmp", encoded("BMP"))],
    "PPM": [("a.ppm", encoded("PPM"))],
    "a suffix in capitals": [("a.JPG", encoded("JPEG")), ("b.Tiff", encoded("TIFF"))],
    "any EXIF orientation": [
        *((f"{orientation}.jpg", turned("JPEG", orientation)) for orientation in range(2, 9)),
        *((f"6.{suffix}", turned(kind, 6)) for kind, suffix in (("PNG", "png"), ("WEBP", "webp"), ("TIFF", "tif"))),
    ],
    "CMYK": [("a.jpg", encoded("JPEG", "CMYK", quality=95)), ("a.tif", encoded("TIFF", "CMYK"))],
    "a palette": [("a.png", encoded("PNG", "P")), ("a.bmp", encoded("BMP", "P"))],
    "transparency": [("a.png", encoded("PNG", "RGBA")), ("a.webp", encoded("WEBP", "RGBA"))],
    "grey": [("a.png", encoded("PNG", "L")), ("a.jpg", encoded("JPEG", "L")), ("b.png", encoded("PNG", "LA"))],
    "grey in three equal channels": [("a.png", encoded("PNG", picture=GREY_SCENE))],
    "more than 8 bits a colour": [
        ("grey.png", deep_png(1)),
        ("colour.png", deep_png(3)),
        ("grey.tif", encoded("TIFF", "I;16", DEEP_GREY)),
        ("deep.ppm", b"P6 256 128 4095\n" + bytes(256 * 128 * 6)),
    ],
    "cut off or damaged": [
        ("cut.jpg", encoded("JPEG")[:-2000]),
        ("cut.png", encoded("PNG")[:-2000]),
        ("cut.webp", encoded("WEBP")[:-2000]),
        ("cut.tif", encoded("TIFF")[:-2000]),
        ("cut.bmp", encoded("BMP")[:-2000]),
        ("cut.ppm", encoded("PPM")[:-2000]),
    ],
    "no picture in it": [("no.jpg", b"no picture"), ("empty.png", b"")],
    "smaller than 128x256": [("small.png", encoded("PNG", picture=scene(127, 400)))],
    "a name that begins with a dot": [("._a.png", b"what macOS leaves on other file systems"), (".b.jpg", b"hidden")],
}


def camera(folder: Path) -> tuple[str, Pixels | None]:
    """What an edge encodes at the tick of the folder's first file."""
    source = Clocked(Folder(str(folder / "left"), View.LEFT), FrameClock(1000.0), clock_ns=lambda: -1)
    source.open()
    try:
        taken = source.next(threading.Event())
    except SkippedFrame as skipped:
        return f"skipped: {skipped}", None
    assert taken is not None
    return "read", fit(taken[1])


def training(folder: Path) -> tuple[str, Pixels | None]:
    try:
        sources = read_sources([folder], [])
    except UserError as error:
        return f"refused: {error}", None
    picture = center_crop((sources.grey or sources.colour)[0][0])
    validated = next(iter(read_cropped(folder, "validation").values()))[0].transpose(1, 2, 0)
    np.testing.assert_array_equal(validated, picture)
    return "read, as grey" if sources.grey else "read", picture


def bench(folder: Path) -> tuple[str, Pixels | None]:
    try:
        views = read_scenes(folder)[0].views
    except UserError as error:
        return f"refused: {error}", None
    return "read", views[0].transpose(1, 2, 0)


READERS: dict[str, Callable[[Path], tuple[str, Pixels | None]]] = {
    "camera": camera,
    "training": training,
    "bench": bench,
}


def table() -> dict[str, dict[str, str]]:
    """The cells of the table in docs/cameras.md, by kind and reader."""
    found: dict[str, dict[str, str]] = {}
    head: list[str] = []
    for line in (ROOT / "docs" / "cameras.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[1:] == list(READERS):
            head = cells
        elif not line.startswith("|"):
            head = []
        elif head and not re.fullmatch(r"[-|]+", line):
            found[cells[0]] = dict(zip(READERS, cells[1:], strict=True))
    return found


TABLE = table()


def test_the_table_has_every_kind() -> None:
    assert list(TABLE) == list(KINDS)


def write(folder: Path, name: str, content: bytes, *more: tuple[str, bytes]) -> Path:
    for side in ("left", "right"):
        (folder / side).mkdir(parents=True)
        for each, data in ((name, content), *more):
            (folder / side / each).write_bytes(data)
    return folder


@pytest.mark.parametrize(
    ("kind", "name", "content"),
    [pytest.param(kind, *file, id=f"{kind}: {file[0]}") for kind, files in KINDS.items() for file in files],
)
def test_every_reader_does_with_a_file_what_the_table_says(
    kind: str, name: str, content: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    passed_over = TABLE[kind]["camera"] == "passed over"
    alone = write(tmp_path / "alone", name, content, *[OTHER] * passed_over)
    beside = write(tmp_path / "beside", name, content, OTHER)  # a camera is refused a folder of nothing else
    shown = GREY_SCENE if kind.startswith("grey") else scene()
    wanted = fit(np.asarray(shown)).astype(float)
    seen: list[Pixels] = []
    for reader, read in READERS.items():
        did, picture = read(beside if reader == "camera" else alone)
        word, _, line = did.partition(": ")
        assert word == ("read" if passed_over else TABLE[kind][reader]), did
        assert picture is not None or name in line, "the line names the file"
        if picture is not None:
            error = ((picture - wanted) ** 2).mean()
            assert error < 255**2 / 10 ** (ENOUGH_DB / 10), "another picture, or not upright"
            seen.append(picture)
    for picture in seen:
        np.testing.assert_array_equal(picture, seen[0])
    assert capfd.readouterr().err == "", "a library's own lines would stand beside ours"
