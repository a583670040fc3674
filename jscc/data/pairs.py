"""Reads a folder of stereo pairs, `left/NAME.png` and `right/NAME.png`, as 128x256 RGB."""

from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, UnidentifiedImageError

from jscc.data.batches import centre
from jscc.evaluate.systems.base import Bytes, Pair
from wire import geometry
from wire.runtime.errors import UserError

SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".ppm"})


def read_pairs(folder: Path, limit: int | None = None) -> list[Pair]:
    """All pairs of a folder, sorted by name.

    limit   take at most so many, evenly spread
    raises  UserError for a folder that is not one of pairs, a picture without its partner, a grey picture, two views of
            different sizes, a picture smaller than 128x256
    """
    left, right = (_pictures(folder, side) for side in ("left", "right"))
    for here, there, side in ((left, right, "right"), (right, left, "left")):
        alone = sorted(set(here) - set(there))
        if alone:
            more = f" (and {len(alone) - 1} more)" if len(alone) > 1 else ""
            raise UserError(f"{here[alone[0]]} has no partner of that name in {folder / side}{more}")
    names = sorted(left)
    if limit is not None and limit < len(names):
        names = [names[i * len(names) // limit] for i in range(limit)]
    return [_read_pair(name, left[name], right[name]) for name in names]


def _pictures(folder: Path, side: str) -> dict[str, Path]:
    """Picture files of one view by name without suffix."""
    if not (folder / side).is_dir():
        raise UserError(f"{folder} has no folder {side}/; pairs are left/NAME.png and right/NAME.png")
    found: dict[str, Path] = {}
    for path in sorted((folder / side).iterdir()):
        if path.suffix.lower() not in SUFFIXES:
            continue
        if path.stem in found:
            raise UserError(f"{path} and {found[path.stem]} have the same name; keep one of them")
        found[path.stem] = path
    if not found:
        raise UserError(f"{folder / side} has no pictures ({', '.join(sorted(SUFFIXES))})")
    return found


def _read_pair(name: str, left: Path, right: Path) -> Pair:
    pictures = [_open(left), _open(right)]
    if pictures[0].size != pictures[1].size:
        sizes = " and ".join("{1}x{0}".format(*picture.size) for picture in pictures)
        raise UserError(f"{left} and {right} differ in size, {sizes} (rows x columns); both views must be alike")
    return Pair(name, np.stack([fit(picture) for picture in pictures]))


def _open(path: Path) -> Image.Image:
    try:
        picture: Image.Image = Image.open(path)
        picture.load()
    except (OSError, UnidentifiedImageError) as error:
        raise UserError(f"cannot read the picture {path}: {error}") from None
    if picture.mode in ("RGBA", "P"):
        picture = picture.convert("RGB")
    pixels = np.asarray(picture)
    if picture.mode != "RGB" or (pixels == pixels[..., :1]).all():
        raise UserError(f"{path} is grey (mode {picture.mode}); the systems are compared on RGB pictures, leave it out")
    if picture.height < geometry.HEIGHT or picture.width < geometry.WIDTH:
        raise UserError(
            f"{path} is {picture.height}x{picture.width} (rows x columns); "
            f"pictures must have at least {geometry.HEIGHT}x{geometry.WIDTH}"
        )
    return picture


def fit(picture: Image.Image) -> Bytes:
    """An RGB picture as the edge would send it, uint8 [3, 128, 256]."""
    return np.ascontiguousarray(centre(np.asarray(picture, np.uint8)).transpose(2, 0, 1))
