"""Means are compared only over the same pairs: which points of a table have them all."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from jscc.evaluate.rows import Cell, Point, Row
from wire.runtime.errors import UserError


def check_pair_coverage(out: Path, asked: Sequence[Cell], done: Sequence[Cell]) -> None:
    """Refuse what would put means over unlike pairs side by side.

    out     folder of the run, for the message
    asked   cells of this call
    done    cells that the folder has already
    raises  UserError if a mean that is asked for would be over fewer pairs than others there
    """
    pictures = _pictures([*asked, *done])
    whole = _whole(pictures)
    for point in dict.fromkeys(cell.point for cell in asked):
        missing = sorted(whole[point.channel] - pictures[point])
        if missing:
            raise UserError(
                f"{out} has results of {len(missing)} pairs that {point} would lack, first {missing[0]}: means over"
                " other pairs cannot be compared, so ask for all pairs, or use another --out"
            )


def partial_points(rows: Sequence[Row], progress: TextIO) -> set[Point]:
    """Points of curves that lack pairs which others of their channel have; each is told on `progress`."""
    pictures = _pictures(row.cell for row in rows)
    whole = _whole(pictures)
    partial = {point for point, found in pictures.items() if found != whole[point.channel]}
    for point in sorted(partial):
        progress.write(f"left out, {len(pictures[point])} of {len(whole[point.channel])} pairs: {point}\n")
    return partial


def _whole(pictures: Mapping[Point, set[str]]) -> dict[str, set[str]]:
    """By channel the names of all pairs of its points."""
    whole: dict[str, set[str]] = {}
    for point, found in pictures.items():
        whole.setdefault(point.channel, set()).update(found)
    return whole


def _pictures(cells: Iterable[Cell]) -> dict[Point, set[str]]:
    """Names of the pairs of each point."""
    pictures: dict[Point, set[str]] = {}
    for cell in cells:
        pictures.setdefault(cell.point, set()).add(cell.picture)
    return pictures
