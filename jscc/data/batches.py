"""Pictures for training: stereo pairs and single pictures, cut and changed at random, the same in both views.

Every batch is a pure function of (seed, step): nothing has to be stored to resume, and a worker thread may run ahead.
A *window* covers (128 s) x (256 s) pixels of the source, s in `scales`, and is area-resized to 128x256; a *patch* is a
part of it.
"""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from jscc.data.synthetic_stereo import Picture, second_view
from jscc.train.overrides import check_shares
from wire import geometry

SUFFIXES = {".png", ".jpg", ".jpeg"}


@dataclass(frozen=True, slots=True)
class Sources:
    """Decoded pictures, uint8 [rows, columns, 3] in RGB: (left, right) pairs in colour and in grey, and single
    pictures.
    """

    colour: list[tuple[Picture, Picture]]
    grey: list[tuple[Picture, Picture]]
    mono: list[Picture]

    def counts(self) -> dict[str, int]:
        """How many there are of each kind, as run.json tells it."""
        return {"colour_pairs": len(self.colour), "grey_pairs": len(self.grey), "single": len(self.mono)}


@dataclass(frozen=True, slots=True)
class Mixture:
    """How training batches are made.

    Shares are probabilities of a sample's kind; an empty source gives its share to colour pairs.
    """

    mono_share: float = 0.35
    grey_share: float = 0.10
    scales: tuple[float, float] = (1.2, 2.0)
    largest_disparity: float = 25.0
    """Of synthetic stereo, in pixels at 128x256."""

    def __post_init__(self) -> None:
        check_shares("mixture", self, ("mono_share", "grey_share"))
        low, high = self.scales
        if not 1 <= low <= high < math.inf:
            raise ValueError(f"mixture.scales is [{low}, {high}]; it must rise from at least 1: pictures only shrink")
        if not 0 <= self.largest_disparity < math.inf:
            raise ValueError(
                f"mixture.largest_disparity is {self.largest_disparity}; it must be at least 0, and finite"
            )


def read_picture(path: Path, purpose: str | None = None) -> Picture:
    """One file -> uint8 RGB [rows, columns, 3]; OSError names a file that cannot be read.

    purpose  what wants at least 128x256 pixels, if anything does: ValueError names a file that has fewer
    """
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise OSError(f"cannot read the picture {path}")
    rows, columns = picture.shape[:2]
    if purpose is not None and (rows < geometry.HEIGHT or columns < geometry.WIDTH):
        smallest = f"{geometry.HEIGHT}x{geometry.WIDTH}"
        raise ValueError(f"{path} has {rows}x{columns} pixels; {purpose} wants at least {smallest}")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def list_pictures(folder: Path) -> list[Path]:
    """All pictures below a folder, sorted; an empty folder raises FileNotFoundError."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise FileNotFoundError(f"no pictures (.png, .jpg) below {folder}")
    return paths


def read_pairs(folder: Path, purpose: str | None = None) -> list[tuple[Picture, Picture]]:
    """Pairs of a folder with `left/` and `right/`, matched by the path below those.

    purpose  what wants at least 128x256 pixels, if anything does
    raises   ValueError for a picture without its partner, of another size than it, or too small
    """
    sides = [folder / "left", folder / "right"]
    lefts, rights = ({str(path.relative_to(side)): path for path in list_pictures(side)} for side in sides)
    alone = sorted(set(lefts) ^ set(rights))
    if alone:
        raise ValueError(f"{folder}: {len(alone)} pictures have no partner in the other view, first {alone[0]}")
    return [_read_pair(lefts[name], rights[name], purpose) for name in sorted(lefts)]


def _read_pair(left: Path, right: Path, purpose: str | None) -> tuple[Picture, Picture]:
    pair = read_picture(left, purpose), read_picture(right)
    if pair[0].shape != pair[1].shape:
        sizes = " and ".join("{}x{}".format(*picture.shape[:2]) for picture in pair)
        raise ValueError(f"{left} and {right} are {sizes} pixels: the views of a pair must be of one size, rectified")
    return pair


def read_sources(pair_folders: Sequence[Path], mono_folders: Sequence[Path]) -> Sources:
    """Read everything into memory. A pair counts as grey if its left picture's three channels are equal.

    raises  what `read_pairs` and `list_pictures` do; ValueError for a picture below 128x256, which would be enlarged
    """
    pairs = [pair for folder in pair_folders for pair in read_pairs(folder, "training")]
    is_grey = [bool((left == left[..., :1]).all()) for left, _ in pairs]
    return Sources(
        colour=[pair for pair, grey in zip(pairs, is_grey, strict=True) if not grey],
        grey=[pair for pair, grey in zip(pairs, is_grey, strict=True) if grey],
        mono=[read_picture(path, "training") for folder in mono_folders for path in list_pictures(folder)],
    )


def batch(
    sources: Sources, mixture: Mixture, count: int, size: tuple[int, int], *, seed: int, step: int
) -> NDArray[np.uint8]:
    """Training pairs number `step`: uint8 [count, 2, 3, rows, columns] for `size` = (rows, columns) <= (128, 256)."""
    rng = np.random.Generator(np.random.Philox(key=[seed, step]))
    pairs = [sample(sources, mixture, size, rng) for _ in range(count)]
    return np.ascontiguousarray(np.stack(pairs).transpose(0, 1, 4, 2, 3))


def sample(sources: Sources, mixture: Mixture, size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.uint8]:
    """One augmented pair, uint8 [2, rows, columns, 3]."""
    draw = rng.random()
    if sources.mono and (draw < mixture.mono_share or not (sources.colour or sources.grey)):
        (left,) = cut((sources.mono[rng.integers(len(sources.mono))],), size, mixture.scales, rng)
        views: tuple[Picture, ...] = (left, second_view(left, mixture.largest_disparity, rng))
    else:
        grey = sources.grey and (draw > 1 - mixture.grey_share or not sources.colour)
        pairs = sources.grey if grey else sources.colour
        views = cut(pairs[rng.integers(len(pairs))], size, mixture.scales, rng)
    return augment(np.stack(views), rng)


def cut(
    pictures: tuple[Picture, ...], size: tuple[int, int], scales: tuple[float, float], rng: np.random.Generator
) -> tuple[Picture, ...]:
    """The same random place of every picture, area-resized to `size` = (rows, columns).

    The scale s is drawn for whole 128x256 windows, clipped to what fits, so that patches look like parts of whole
    windows.
    """
    rows, columns = pictures[0].shape[:2]
    fits = min(rows / size[0], columns / size[1])
    window_fits = min(rows / geometry.HEIGHT, columns / geometry.WIDTH)
    high = min(scales[1], fits if window_fits < scales[0] else window_fits)
    scale = rng.uniform(min(scales[0], high), high)
    height, width = min(round(size[0] * scale), rows), min(round(size[1] * scale), columns)
    top, left = rng.integers(0, rows - height + 1), rng.integers(0, columns - width + 1)
    return tuple(
        np.asarray(
            cv2.resize(p[top : top + height, left : left + width], size[::-1], interpolation=cv2.INTER_AREA), np.uint8
        )
        for p in pictures
    )


def centre(picture: Picture) -> Picture:
    """What the edge sends of a picture: its crop of 2:1, area-resized to 128x256; of that size it stays as it is."""
    return middle(picture, *geometry.crop_size(*picture.shape[:2]))


def middle(picture: Picture, rows: int, columns: int) -> Picture:
    """The middle `rows` x `columns` of a picture, area-resized to 128x256."""
    top, left = (picture.shape[0] - rows) // 2, (picture.shape[1] - columns) // 2
    cut_out = picture[top : top + rows, left : left + columns]
    return np.asarray(cv2.resize(cut_out, (geometry.WIDTH, geometry.HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)


def augment(pair: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Flip (which swaps the views), brightness and contrast, alike in both views. [2, rows, columns, 3]."""
    if rng.random() < 0.5:
        pair = pair[::-1, :, ::-1]
    if rng.random() < 0.5:
        contrast, brightness = rng.uniform(0.8, 1.2), rng.uniform(-20, 20)
        pair = np.clip((pair.astype(np.float32) - 128) * contrast + 128 + brightness, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(pair)


def ahead(
    sources: Sources, mixture: Mixture, seed: int, plan: Sequence[tuple[int, int, tuple[int, int]]]
) -> Iterator[NDArray[np.uint8]]:
    """Batches for a plan of (step, count, size), made by one thread that stays up to four batches ahead."""
    with ThreadPoolExecutor(1) as pool:
        waiting = [
            pool.submit(batch, sources, mixture, count, size, seed=seed, step=step) for step, count, size in plan[:4]
        ]
        for index in range(len(plan)):
            ready = waiting.pop(0).result()
            if index + 4 < len(plan):
                step, count, size = plan[index + 4]
                waiting.append(pool.submit(batch, sources, mixture, count, size, seed=seed, step=step))
            yield ready
