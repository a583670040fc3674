"""Means are compared only over the same pairs: which points of a table have them all."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from jscc.evaluate.rows import Cell, Point, Row
from wire.problem import Problem


def check_alike(out: Path, asked: Sequence[Cell], done: Sequence[Cell]) -> None:
    """Problem if a mean that is asked for would be over fewer pairs than others in `out`."""
    pictures = _pictures([*asked, *done])
    for point in dict.fromkeys(cell.point for cell in asked):
        missing = sorted(
            set().union(*(found for other, found in pictures.items() if other.channel == point.channel))
            - pictures[point]
        )
        if missing:
            raise Problem(
                f"{out} has results of {len(missing)} pairs that {point} would lack, first {missing[0]}: means over"
                " other pairs cannot be compared, so ask for all pairs, or use another --out"
            )


def partial_points(rows: Sequence[Row], progress: TextIO) -> set[Point]:
    """Points that lack pairs which others of their channel have; tells them."""
    pictures = _pictures(row.cell for row in rows)
    most = {
        point.channel: max(len(found) for other, found in pictures.items() if other.channel == point.channel)
        for point in pictures
    }
    partial = {point for point, found in pictures.items() if len(found) < most[point.channel]}
    for point in sorted(partial):
        progress.write(f"left out, {len(pictures[point])} of {most[point.channel]} pairs: {point}\n")
    return partial


def _pictures(cells: Iterable[Cell]) -> dict[Point, set[str]]:
    """Names of the pairs of each point."""
    pictures: dict[Point, set[str]] = {}
    for cell in cells:
        pictures.setdefault(cell.point, set()).add(cell.picture)
    return pictures
