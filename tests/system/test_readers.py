"""One file has the same pixels for camera, trainer and bench, whatever kind it is, or is refused by all of them."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edge.camera.framing import fit
from edge.camera.sources.folder import Folder
from jscc.data.batches import read_sources
from jscc.data.pairs import read_cropped
from wire.crop import center_crop
from wire.runtime.errors import UserError
from wire.views import View

Reader = Callable[[Path], NDArray[np.uint8]]


def camera(folder: Path) -> NDArray[np.uint8]:
    """What an edge encodes."""
    source = Folder(str(folder / "left"), View.LEFT)
    source.open()
    return fit(source.picture(0))


def trainer(folder: Path) -> NDArray[np.uint8]:
    return center_crop(read_sources([folder], []).colour[0][0])


def bench(folder: Path) -> NDArray[np.uint8]:
    (pair,) = read_cropped(folder, "the bench", grey=False).values()
    return pair[0].transpose(1, 2, 0)


def encoded(kind: str, mode: str = "RGB", orientation: int = 1) -> bytes:
    """A scene of 276x544, or of 544x276 where it is stored on its side."""
    coarse = Image.fromarray(np.random.default_rng(11).integers(0, 255, (9, 17, 3)).astype(np.uint8))
    scene = coarse.resize((544, 276), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = scene.transpose(Image.Transpose.ROTATE_90) if orientation == 6 else scene  # a turn to the right undoes it
    content = io.BytesIO()
    stored.convert(mode).save(content, kind, exif=exif)
    return content.getvalue()


def write_pair(folder: Path, name: str, content: bytes) -> None:
    for side in ("left", "right"):
        (folder / side).mkdir(exist_ok=True)
        (folder / side / name).write_bytes(content)
        (folder / side / f"._{name}").write_bytes(b"what macOS leaves on other file systems")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.png", encoded("PNG")),
        ("a.JPG", encoded("JPEG")),
        ("turned.jpeg", encoded("JPEG", orientation=6)),
        ("upside-down.jpg", encoded("JPEG", orientation=3)),
        ("cmyk.jpg", encoded("JPEG", "CMYK")),
        ("palette.png", encoded("PNG", "P")),
        ("alpha.png", encoded("PNG", "RGBA")),
        ("a.webp", encoded("WEBP")),
        ("a.tif", encoded("TIFF")),
        ("a.bmp", encoded("BMP")),
        ("a.ppm", encoded("PPM")),
    ],
)
def test_every_reader_sees_the_same_pixels(name: str, content: bytes, tmp_path: Path) -> None:
    write_pair(tmp_path, name, content)
    seen = camera(tmp_path)
    assert seen.shape == (128, 256, 3)
    np.testing.assert_array_equal(trainer(tmp_path), seen)
    np.testing.assert_array_equal(bench(tmp_path), seen)


@pytest.mark.parametrize("reader", [camera, trainer, bench])
@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("cut.jpg", encoded("JPEG")[:-2000], "cut.jpg is cut off or damaged"),
        ("cut.png", encoded("PNG")[:-2000], "cut.png is cut off or damaged"),
        ("cut.webp", encoded("WEBP")[:-2000], "cut.webp is cut off or damaged"),
        ("no.jpg", b"no picture", "no.jpg is not a readable picture"),
        ("deep.ppm", b"P6 272 144 4095\n" + bytes(272 * 144 * 6), "deep.ppm has more than 8 bits a colour"),
    ],
)
def test_every_reader_refuses_the_same_files_by_name(
    reader: Reader, name: str, content: bytes, line: str, tmp_path: Path
) -> None:
    write_pair(tmp_path, name, content)
    with pytest.raises(UserError, match=line):
        reader(tmp_path)
