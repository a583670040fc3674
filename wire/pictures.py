"""Picture files: which names are pictures, in which order, and what their pixels are. The one reader of camera,
training and bench, so that one file has the same pixels everywhere. Needs Pillow, as the extras that use it do.
"""

import io
import os
import re
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from wire.runtime.errors import UserError, cause

SUFFIXES: Final = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
_GREY: Final = frozenset({"1", "L", "LA", "La", "I", "F"})


class PictureError(UserError):
    """One picture file that cannot be used; the line names it."""


def list_pictures(folder: Path, *, recursive: bool = False) -> list[Path]:
    """The pictures of a folder in the natural order of their names: frame2 comes before frame10.

    folder     what it holds is told by SUFFIXES; names that begin with a dot are passed over, as are macOS's `._*`
    recursive  look into the folders below too; theirs are sorted folder by folder
    returns    paths that begin with `folder`; none if it has no pictures
    raises     PictureError if the folder cannot be read
    """
    try:
        inside = [path.relative_to(folder) for path in (folder.rglob("*") if recursive else folder.iterdir())]
    except OSError as error:
        raise PictureError(
            f"{folder}: cannot be read ({cause(error)}); check that it is a folder you may read"
        ) from None
    pictures = [
        path
        for path in inside
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in path.parts)
        and not (folder / path).is_dir()
    ]
    return [folder / path for path in sorted(pictures, key=lambda path: [natural_order(part) for part in path.parts])]


def natural_order(name: str) -> tuple[list[str | int], str]:
    """A key that sorts numbers within names by their value, and names that differ in zeros only as text."""
    return [int(part) if at % 2 else part for at, part in enumerate(re.split(r"(\d+)", name))], name


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Read one picture whole, the way up that its EXIF orientation says.

    path     a file of any format in SUFFIXES; CMYK and palettes are converted, transparency is dropped
    returns  RGB, uint8 [rows, columns, 3], writable
    raises   PictureError, one line that names the file: cannot be read, changed while it was read, is no picture, is
             cut off or damaged, is grey, or has more than 8 bits a colour (12 in 16 would be near black, and nothing
             in the file says so)
    """
    try:
        with Image.open(io.BytesIO(_bytes(path))) as picture:
            if _is_deep(picture):
                raise PictureError(f"{path} has more than 8 bits a colour; save it with 8")
            if picture.mode in _GREY:
                raise PictureError(f"{path} is grey; give pictures in colour")
            upright = ImageOps.exif_transpose(picture)
            return np.array(upright.convert("RGB"))
    except PictureError:
        raise
    except UnidentifiedImageError:
        raise PictureError(f"{path} is not a readable picture; replace or remove it") from None
    except Image.DecompressionBombError:
        raise PictureError(f"{path} is larger than any camera's picture; replace or remove it") from None
    except (
        Exception
    ) as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, zlib.error, struct.error, ...
        raise PictureError(f"{path} is cut off or damaged ({error}); replace or remove it") from None


def _bytes(path: Path) -> bytes:
    """The file at one moment: decoding must not see it change."""
    try:
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            content = file.read()
            after = os.fstat(file.fileno())
    except OSError as error:
        raise PictureError(f"{path} cannot be read ({cause(error)}); check the file and its permissions") from None
    if len(content) != after.st_size or before.st_mtime_ns != after.st_mtime_ns:
        raise PictureError(f"{path} changed while it was read; write pictures under another name, then rename them")
    return content


def _is_deep(picture: Image.Image) -> bool:
    """Whether the file has more than 8 bits a colour. Pillow keeps the upper 8 without a word, so ask its decoder's
    arguments: ";16" and the like in the raw mode, or a PPM's largest value."""
    if picture.mode.startswith("I;16"):
        return True
    for tile in getattr(picture, "tile", ()):
        arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if any(isinstance(each, str) and re.search(r";(10|12|16|32)", each) for each in arguments):
            return True
        if tile[0] in {"ppm", "ppm_plain"} and any(isinstance(each, int) and each > 255 for each in arguments):
            return True
    return False
