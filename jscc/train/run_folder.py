"""A run's folder: `run.json` says what it is, `train.csv` and `val.csv` how it goes, `state.pt` how to go on."""

import csv
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from wire.runtime.errors import UserError
from wire.runtime.files import write_atomically

STATE: Final = "state.pt"
ABOUT: Final = "run.json"
WHOLE = ("session", "seconds")
"""Columns that are written with all their digits."""


class RunFolder:
    """Writes into `path`; makes it. OSError says what is in the way.

    It leaves no file there before there is something to write: a run may still be refused.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.mkdir(parents=True, exist_ok=True)
            if (path / "train.csv").exists():
                (path / "train.csv").open("a").close()
            tempfile.TemporaryFile(dir=path).close()
        except OSError as error:
            raise OSError(f"--out {path} cannot be written: {error.strerror}") from error
        self.path = path
        self.state = path / STATE

    def describe(self, about: Mapping[str, Any]) -> None:
        """Write run.json."""
        self.write(ABOUT, about)

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file, in one move."""
        write_atomically(self.path / name, json.dumps(content, indent=1))

    def row(self, name: str, values: Mapping[str, float]) -> None:
        """Append one row to `name`.csv. A file with other columns (of an older version) is put aside first."""
        path = self.path / f"{name}.csv"
        header = ",".join(values)
        if path.exists():
            with path.open() as file:
                found = file.readline().strip()
            if found and found != header:
                self._put_aside(path)
        new = not path.exists() or path.stat().st_size == 0
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(values)
            writer.writerow(value if name in WHOLE else f"{value:.7g}" for name, value in values.items())

    def _put_aside(self, path: Path) -> None:
        """Rename x.csv to x-1.csv, or the first number that is free."""
        number = 1
        while (aside := path.with_stem(f"{path.stem}-{number}")).exists():
            number += 1
        path.rename(aside)
        print(f"{path.name} had other columns: it is now {aside.name}", flush=True)


def described(folder: Path) -> dict[str, Any]:
    """What run.json says of the run in `folder`; UserError if there is none, or if it is damaged."""
    file = folder / ABOUT
    try:
        about = json.loads(file.read_text())
        if not isinstance(about, dict) or "settings" not in about:
            raise ValueError("it does not say what was trained")
    except FileNotFoundError:
        raise UserError(f"{folder} is not a training run: it has no {ABOUT}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read ({error})") from None
    return about
