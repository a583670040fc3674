"""The table that a run fills: one row for each view of each transmission, appended as it goes, so a run can go on."""

import csv
import io
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Final, NamedTuple

from wire.runtime.errors import UserError
from wire.runtime.files import write_atomically


class Point(NamedTuple):
    """One mean of the bench: a system on a kind of channel at one SNR, with one difference to the other link."""

    system: str
    channel: str
    snr: float
    delta: float

    def __str__(self) -> str:
        return f"{self.system} at {self.snr:g} dB, delta {self.delta:g} ({self.channel})"


class Cell(NamedTuple):
    """One thing to measure: both views of a pair by one system over one kind of channel.

    snr    Es/N0 of the own link, dB
    delta  SNR of the other link minus the own, dB; +inf: the other view arrives noiseless
    """

    system: str
    channel: str
    snr: float
    delta: float
    picture: str

    @property
    def point(self) -> Point:
        return Point(*self[:4])


@dataclass(frozen=True, slots=True)
class Row:
    """One reconstructed view.

    system, channel, snr, delta, picture  as in `Cell`
    view     "left" or "right"
    psnr     dB
    ms_ssim  0 to 1
    bytes    after source coding; None for systems without bits
    symbols  complex channel uses
    seconds  of the transmission per view, less what was cached
    """

    system: str
    channel: str
    snr: float
    delta: float
    picture: str
    view: str
    psnr: float
    ms_ssim: float
    bytes: int | None
    symbols: int
    seconds: float

    @property
    def cell(self) -> Cell:
        return Cell(self.system, self.channel, self.snr, self.delta, self.picture)

    def to_csv(self) -> str:
        """One line, numbers in as few digits as they need."""
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerow([_text(value) for value in astuple(self)])
        return buffer.getvalue()

    @classmethod
    def from_csv(cls, values: list[str]) -> "Row":
        """raises ValueError if the line is not whole"""
        if len(values) != len(COLUMNS):
            raise ValueError(f"expected {len(COLUMNS)} columns, got {len(values)}")
        system, channel, snr, delta, picture, view, psnr, ms_ssim, size, symbols, seconds = values
        return cls(
            system, channel, float(snr), float(delta), picture, view, float(psnr), float(ms_ssim),
            int(size) if size else None, int(symbols), float(seconds),
        )  # fmt: skip


COLUMNS: Final = tuple(field.name for field in fields(Row))
_HEADER: Final = ",".join(COLUMNS) + "\n"


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


class Table:
    """The rows of a folder's `results.csv`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[Row]:
        """Every whole row; a last line that was cut off by a crash is left out.

        raises  UserError if the file is not such a table
        """
        if not self.path.exists():
            return []
        with self.path.open(newline="") as file:
            lines = list(csv.reader(file))
        if not lines or tuple(lines[0]) != COLUMNS:
            raise UserError(f"{self.path} is not a table of the bench (its first line must be {_HEADER.strip()})")
        rows: list[Row] = []
        for number, line in enumerate(lines[1:], 2):
            try:
                rows.append(Row.from_csv(line))
            except ValueError as error:
                if number == len(lines):
                    break
                raise UserError(f"{self.path}:{number}: {error}; mend or remove the line") from None
        return rows

    def write(self, rows: Iterable[Row]) -> None:
        """Replace the whole table at once."""
        write_atomically(self.path, _HEADER + "".join(row.to_csv() for row in rows))

    def append(self, rows: Iterable[Row]) -> None:
        """Add rows; they are on disk when this returns."""
        with self.path.open("a") as file:
            file.write("".join(row.to_csv() for row in rows))

    def write_parquet(self, rows: list[Row]) -> Path | None:
        """The same as Parquet, if pyarrow is installed."""
        try:
            import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]
            import pyarrow.parquet as pq  # type: ignore[import-not-found,import-untyped,unused-ignore]
        except ImportError:
            return None
        target = self.path.with_suffix(".parquet")
        columns = zip(*map(astuple, rows), strict=True)
        pq.write_table(pa.table(dict(zip(COLUMNS, map(list, columns), strict=True))), target)
        return target
