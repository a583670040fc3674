"""Pictures on disk for training, validation and bench: folders of pairs, `left/NAME.png` and `right/NAME.png`, or of
single pictures.

The pixels are those of `wire.pictures`, the reader that the cameras use too; cut to a size they are those of
`wire.crop`.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wire import pictures
from wire.crop import center_crop
from wire.geometry import DEFAULT_SIZE, PictureSize
from wire.runtime.errors import UserError

Picture = NDArray[np.uint8]
SUFFIXES = ", ".join(pictures.SUFFIXES)


def list_pictures(folder: Path) -> list[Path]:
    """All pictures below a folder, in natural order.

    raises  UserError if there are none, or the folder cannot be read
    """
    paths = pictures.list_pictures(folder, recursive=True)
    if not paths:
        raise UserError(f"{folder} has no pictures ({SUFFIXES})")
    return paths


def list_pairs(folder: Path) -> dict[str, tuple[Path, Path]]:
    """The (left, right) files of each pair of a folder, by their path below `left/` and `right/` without suffix.

    returns  in natural order of the names
    raises   UserError for a folder that is not one of pairs, a picture without its partner, two pictures of one name
    """
    left, right = (_by_name(folder, side) for side in ("left", "right"))
    for here, there, side in ((left, right, "right"), (right, left, "left")):
        single = [name for name in here if name not in there]
        if single:
            more = f" (and {len(single) - 1} more)" if len(single) > 1 else ""
            raise UserError(f"{here[single[0]]} has no partner of that name in {folder / side}{more}")
    return {name: (left[name], right[name]) for name in left}


def _by_name(folder: Path, side: str) -> dict[str, Path]:
    if not (folder / side).is_dir():
        raise UserError(f"{folder} has no folder {side}/; pairs are left/NAME.png and right/NAME.png")
    found: dict[str, Path] = {}
    for path in list_pictures(folder / side):
        name = path.relative_to(folder / side).with_suffix("").as_posix()
        if name in found:
            raise UserError(f"{path} and {found[name]} have the same name; keep one of them")
        found[name] = path
    return found


def read_picture(
    path: Path, purpose: str | None = None, *, grey: bool = True, size: PictureSize = DEFAULT_SIZE
) -> Picture:
    """One file as RGB.

    purpose  what needs at least the pixels of `size`, if anything does
    grey     take grey pictures too, whose three channels are then equal
    returns  uint8 [rows, columns, 3]
    raises   UserError that names a file that is cut off, damaged, too small or of another kind (`wire.pictures`)
    """
    picture = pictures.read_picture(path, grey=grey)
    if not grey and is_grey(picture):
        raise UserError(f"{path} is grey; the systems are compared on RGB pictures, leave it out")
    rows, columns = picture.shape[:2]
    if purpose is not None and (rows < size.rows or columns < size.columns):
        raise UserError(f"{path} is {rows}x{columns} (rows x columns); {purpose} needs at least {size}")
    return picture


def is_grey(picture: Picture) -> bool:
    """Whether the three channels of uint8 [rows, columns, 3] are equal."""
    return bool((picture == picture[..., :1]).all())


def read_pair(
    left: Path, right: Path, purpose: str | None = None, *, grey: bool = True, size: PictureSize = DEFAULT_SIZE
) -> tuple[Picture, Picture]:
    """Both views of a pair.

    purpose, grey, size  as in `read_picture`
    raises               UserError, also for two views of different sizes
    """
    pair = read_picture(left, purpose, grey=grey, size=size), read_picture(right, grey=grey)
    if pair[0].shape != pair[1].shape:
        sizes = " and ".join("{}x{}".format(*picture.shape[:2]) for picture in pair)
        raise UserError(
            f"{left} and {right} differ in size, {sizes} (rows x columns); the views of a pair must be of one size,"
            " rectified"
        )
    return pair


def read_pairs(folder: Path, purpose: str | None = None) -> list[tuple[Picture, Picture]]:
    """All pairs of a folder in full size, in the order of `list_pairs`; grey ones too.

    raises  what `list_pairs` and `read_pair` do
    """
    return [read_pair(left, right, purpose) for left, right in list_pairs(folder).values()]


def read_cropped(
    folder: Path, purpose: str, *, limit: int | None = None, grey: bool = True, size: PictureSize = DEFAULT_SIZE
) -> dict[str, NDArray[np.uint8]]:
    """The pairs of a folder as the edges would send them.

    limit    take at most so many, evenly spread
    size     that the edges are set to
    returns  by name, in the order of `list_pairs`: uint8 [2, 3, rows, columns], left then right
    raises   what `list_pairs` and `read_pair` do
    """
    files = list_pairs(folder)
    names = list(files)
    if limit is not None and limit < len(names):
        names = [names[i * len(names) // limit] for i in range(limit)]
    return {name: planes(read_pair(*files[name], purpose, grey=grey, size=size), size) for name in names}


def planes(pair: tuple[Picture, Picture], size: PictureSize = DEFAULT_SIZE) -> NDArray[np.uint8]:
    """Two pictures [any rows, any columns, 3] -> [2, 3, rows, columns] of a size."""
    views = [center_crop(picture, size=size) for picture in pair]
    return np.ascontiguousarray(np.stack(views).transpose(0, 3, 1, 2))
