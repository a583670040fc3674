"""What a training run left behind, read back: run.json, train.csv and val.csv of its folder."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jscc.train.run_folder import described
from wire.runtime.errors import UserError

Row = dict[str, float]


@dataclass(frozen=True, slots=True)
class RunLog:
    """One run. `train` and `val` hold one row a step, in order.

    `seconds` is the time of all its calls, validation counted in.
    """

    folder: Path
    about: dict[str, Any]
    train: list[Row]
    val: list[Row]
    seconds: float

    @property
    def name(self) -> str:
        """The folder's name, which a run that went on from this one knows it by."""
        return self.folder.resolve().name


def read_run(folder: Path) -> RunLog:
    """Read a run's folder; UserError if it is none or if a file is damaged. A run without val.csv has no `val` rows."""
    about = described(folder)
    train = read_table(folder, "train")
    return RunLog(folder, about, standing(train), standing(read_table(folder, "val")), wall_seconds(train))


def read_table(folder: Path, name: str) -> list[Row]:
    """All rows of NAME.csv in the order in which they were written; no file, no rows.

    A training that is resumed by a newer version, which writes other columns, has put NAME-1.csv, NAME-2.csv aside.
    """
    aside = [folder / f"{name}-{number}.csv" for number in range(1, len(list(folder.glob(f"{name}-*.csv"))) + 1)]
    return [row for path in (*aside, folder / f"{name}.csv") if path.exists() for row in _rows(path)]


def _rows(path: Path) -> list[Row]:
    """The rows of one CSV file with a header; UserError names a line that does not fit it."""
    rows: list[Row] = []
    with path.open(newline="") as file:
        reader = csv.reader(file)
        names = next(reader, [])
        for values in reader:
            try:
                rows.append({name: float(value) for name, value in zip(names, values, strict=True)})
            except ValueError:
                raise UserError(
                    f"{path}:{reader.line_num}: not {len(names)} numbers under {', '.join(names)}"
                ) from None
    return rows


def standing(rows: list[Row]) -> list[Row]:
    """Without the rows of steps that were lost in a crash and done again: the last word on each step counts."""
    kept: list[Row] = []
    for row in rows:
        while kept and kept[-1]["step"] >= row["step"]:
            kept.pop()
        kept.append(row)
    return kept


def wall_seconds(rows: list[Row], until: float = float("inf")) -> float:
    """Time that a run took up to step `until`, by its train.csv; validation counts in, starting up does not.

    `seconds` begins anew at every resume, so its last value of each session counts; steps done twice count twice.
    Older files have no `session`: there a fall of `seconds` is all that tells a resume.
    """
    total, session, previous = 0.0, None, 0.0
    for row in rows:
        if row["step"] <= until:
            total += previous if row.get("session") != session or row["seconds"] < previous else 0.0
            session, previous = row.get("session"), row["seconds"]
    return total + previous


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Settings that both have and that differ: {"lr": (0.002, 0.001), "draws.absent_other": (0.05, 0.1)}."""
    found: dict[str, tuple[Any, Any]] = {}
    for key in (key for key in new if key in old):
        before, now = (list(value) if isinstance(value, tuple) else value for value in (old[key], new[key]))
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            found |= {f"{key}.{name}": both for name, both in differences(before, now).items()}
        elif before != now:
            found[key] = before, now
    return found


def duration(seconds: float) -> str:
    """Seconds for a reader: 45 s, 12 min, 3 h 05 min, 4 d 02 h."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60:02d} h"
