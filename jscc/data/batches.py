"""Pictures for training: stereo pairs and single pictures, cut and changed at random, the same in both views.

Every batch is a pure function of (seed, step): nothing has to be stored to resume, and a worker thread may run ahead.
A *window* covers (128 s) x (256 s) pixels of the source, s in `scales`, and is area-resized to 128x256; a *patch* is a
part of it. A window of a larger size covers that many times as many pixels.
"""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jscc.data.pairs import is_grey, list_pictures, read_pairs, read_picture
from jscc.data.synthetic_stereo import Picture, second_view
from jscc.shares import check_shares
from wire import geometry
from wire.crop import resize_area


@dataclass(frozen=True, slots=True)
class Sources:
    """Decoded pictures, uint8 [rows, columns, 3] in RGB: (left, right) pairs in colour and in grey, and single
    pictures.
    """

    colour: list[tuple[Picture, Picture]]
    grey: list[tuple[Picture, Picture]]
    mono: list[Picture]

    def holding(self, size: tuple[int, int]) -> "Sources":
        """Those that need not be made larger for windows of `size` = (rows, columns); all for up to 128x256."""
        if size[0] <= geometry.HEIGHT and size[1] <= geometry.WIDTH:
            return self

        def holds(picture: Picture) -> bool:
            return bool(picture.shape[0] >= size[0] and picture.shape[1] >= size[1])

        return Sources(
            [pair for pair in self.colour if holds(pair[0])],
            [pair for pair in self.grey if holds(pair[0])],
            [picture for picture in self.mono if holds(picture)],
        )

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

    def disparity_at(self, size: tuple[int, int]) -> float:
        """The largest disparity of pairs of `size` = (rows, columns); patches are parts of windows of 128x256."""
        return self.largest_disparity * max(1.0, size[1] / geometry.WIDTH)

    def __post_init__(self) -> None:
        check_shares("mixture", self, ("mono_share", "grey_share"))
        low, high = self.scales
        if not 1 <= low <= high < math.inf:
            raise ValueError(f"mixture.scales is [{low}, {high}]; it must rise from at least 1: pictures only shrink")
        if not 0 <= self.largest_disparity < math.inf:
            raise ValueError(
                f"mixture.largest_disparity is {self.largest_disparity}; it must be at least 0, and finite"
            )


def read_sources(pair_folders: Sequence[Path], mono_folders: Sequence[Path]) -> Sources:
    """Read everything into memory. A pair counts as grey if its left picture's three channels are equal.

    raises  what `read_pairs` and `list_pictures` do; UserError for a picture below 128x256, which would be enlarged
    """
    pairs = [pair for folder in pair_folders for pair in read_pairs(folder, "training")]
    grey = [is_grey(left) for left, _ in pairs]
    return Sources(
        colour=[pair for pair, drop in zip(pairs, grey, strict=True) if not drop],
        grey=[pair for pair, keep in zip(pairs, grey, strict=True) if keep],
        mono=[read_picture(path, "training") for folder in mono_folders for path in list_pictures(folder)],
    )


def batch(
    sources: Sources, mixture: Mixture, count: int, size: tuple[int, int], *, seed: int, step: int
) -> NDArray[np.uint8]:
    """Training pairs number `step`: uint8 [count, 2, 3, rows, columns] for `size` = (rows, columns)."""
    sources = sources.holding(size)
    rng = np.random.Generator(np.random.Philox(key=[seed, step]))
    pairs = [sample(sources, mixture, size, rng) for _ in range(count)]
    return np.ascontiguousarray(np.stack(pairs).transpose(0, 1, 4, 2, 3))


def sample(sources: Sources, mixture: Mixture, size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.uint8]:
    """One augmented pair, uint8 [2, rows, columns, 3]."""
    draw = rng.random()
    if sources.mono and (draw < mixture.mono_share or not (sources.colour or sources.grey)):
        (left,) = cut((sources.mono[rng.integers(len(sources.mono))],), size, mixture.scales, rng)
        views: tuple[Picture, ...] = (left, second_view(left, mixture.disparity_at(size), rng))
    else:
        grey = sources.grey and (draw > 1 - mixture.grey_share or not sources.colour)
        pairs = sources.grey if grey else sources.colour
        views = cut(pairs[rng.integers(len(pairs))], size, mixture.scales, rng)
    return augment(np.stack(views), rng)


def cut(
    pictures: tuple[Picture, ...], size: tuple[int, int], scales: tuple[float, float], rng: np.random.Generator
) -> tuple[Picture, ...]:
    """The same random place of every picture, area-resized to `size` = (rows, columns).

    The scale s is drawn for whole windows, of 128x256 or a larger size, clipped to what fits, so that patches look like
    parts of whole windows.
    """
    rows, columns = pictures[0].shape[:2]
    fits = min(rows / size[0], columns / size[1])
    window_fits = min(rows / max(geometry.HEIGHT, size[0]), columns / max(geometry.WIDTH, size[1]))
    high = min(scales[1], fits if window_fits < scales[0] else window_fits)
    scale = rng.uniform(min(scales[0], high), high)
    height, width = min(round(size[0] * scale), rows), min(round(size[1] * scale), columns)
    top, left = rng.integers(0, rows - height + 1), rng.integers(0, columns - width + 1)
    return tuple(resize_area(p[top : top + height, left : left + width], *size) for p in pictures)


def augment(pair: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Flip (which swaps the views), brightness and contrast, alike in both views. [2, rows, columns, 3]."""
    if rng.random() < 0.5:
        pair = pair[::-1, :, ::-1]
    if rng.random() < 0.5:
        contrast, brightness = rng.uniform(0.8, 1.2), rng.uniform(-20, 20)
        pair = np.clip((pair.astype(np.float32) - 128) * contrast + 128 + brightness, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(pair)


def prefetch_batches(
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
