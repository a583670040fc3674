"""Where the mean SNR of a link comes from: a number, a schedule, or a random walk. Time is an argument."""

import csv
import io
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from channel_emulator.channel.randomness import Purpose, RandomStreams
from wire.contract.link_settings import SETTINGS
from wire.contract.names import shown
from wire.runtime.errors import UserError

MOST_BYTES: Final = 2**20
"""Of a schedule: some 50,000 rows."""


class SnrSource(Protocol):
    """Mean Es/N0 in dB as a function of time."""

    @property
    def moves(self) -> bool:
        """Whether it depends on time at all."""

    def at(self, seconds: float) -> float:
        """Mean Es/N0 in dB, `seconds` >= 0 after the source was started; +inf is noiseless."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """One SNR for ever."""

    snr_db: float

    @property
    def moves(self) -> bool:
        return False

    def at(self, seconds: float) -> float:
        return self.snr_db


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """SNR by a table.

    times        float64 [n], seconds, strictly increasing, the first >= 0
    values       float64 [n], dB
    interpolate  linear in dB between the rows; otherwise each row holds until the next
    loop         starts over after the last time; otherwise the last row holds for ever

    Before the first time its row holds already. A looped schedule without interpolation never shows its
    last row: that row says where the loop ends.
    """

    times: NDArray[np.float64]
    values: NDArray[np.float64]
    interpolate: bool
    loop: bool

    def __post_init__(self) -> None:
        if self.interpolate and not np.isfinite(self.values).all():
            raise UserError("an infinite snr_db cannot be interpolated; set interpolate: false")
        if self.loop and self.times[-1] <= 0.0:
            raise UserError("a looped schedule needs a last time_s above 0")

    @property
    def moves(self) -> bool:
        return True

    def at(self, seconds: float) -> float:
        if self.loop:
            seconds %= float(self.times[-1])
        if self.interpolate:
            return float(np.interp(seconds, self.times, self.values))
        row = int(np.searchsorted(self.times, seconds, side="right")) - 1
        return float(self.values[max(row, 0)])

    @staticmethod
    def read(path: Path, interpolate: bool, loop: bool) -> "Schedule":
        """From a CSV file with the header `time_s,snr_db`, times rising; a byte order mark does no harm.

        interpolate  go from row to row in a straight line instead of in steps
        loop         start over after the last row
        raises       UserError with file and line if it cannot be read or makes no sense
        """
        try:
            with path.open("rb") as file:
                data = file.read(MOST_BYTES + 1)
            rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
        except csv.Error as error:
            raise UserError(f"{path}: not a CSV file ({error}); write two numbers a row") from None
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}); give the path of a CSV file"
            ) from None
        if len(data) > MOST_BYTES:
            raise UserError(f"{path}: longer than {MOST_BYTES >> 20} MB; give fewer rows")
        if not rows or [cell.strip() for cell in rows[0]] != ["time_s", "snr_db"]:
            raise UserError(f"{path}:1: the header must be time_s,snr_db")
        points = [_point(path, line, row) for line, row in enumerate(rows[1:], start=2) if row]
        if not points:
            raise UserError(f"{path}: the schedule has no rows; write at least one time_s,snr_db")
        if points[0][0] < 0.0 or any(later[0] <= earlier[0] for earlier, later in itertools.pairwise(points)):
            raise UserError(f"{path}: time_s must start at 0 or later and grow from row to row")
        times, values = np.array(points, dtype=np.float64).T
        return Schedule(times, values, interpolate, loop)


def _point(path: Path, line: int, row: list[str]) -> tuple[float, float]:
    try:
        time_s, snr_db = (float(cell) for cell in row)
    except ValueError:
        raise UserError(f"{path}:{line}: {shown(','.join(row))} is not time_s,snr_db: write two numbers") from None
    refusal = SETTINGS["snr_db"].refusal(snr_db)
    if refusal:
        raise UserError(f"{path}:{line}: snr_db {refusal} (got {snr_db:g})")
    if not np.isfinite(time_s):
        raise UserError(f"{path}:{line}: time_s must be a finite number of seconds (got {time_s:g})")
    return time_s, snr_db


TICK_SECONDS: Final = 0.1
_CHUNK: Final = 1024


class RandomWalk:
    """A Brownian walk in dB between two reflecting walls, on a grid of 0.1 s.

    start_db         at time 0
    step_db          standard deviation after one second; grows with the square root of the time
    low_db, high_db  the walls

    The value at a time is a pure function of (seed, link, time): increments come from `streams` in chunks, and
    the sum of the chunks before the last asked time is kept so that asking forwards costs nothing.
    """

    moves: Final = True

    def __init__(self, start_db: float, step_db: float, low_db: float, high_db: float, streams: RandomStreams) -> None:
        self._start, self._low, self._high, self._streams = start_db, low_db, high_db, streams
        self._deviation = step_db * TICK_SECONDS**0.5
        self._chunk, self._before, self._sums = 0, 0.0, self._sums_of(0)

    def at(self, seconds: float) -> float:
        chunk, tick = divmod(int(seconds / TICK_SECONDS + 1e-9), _CHUNK)
        if chunk < self._chunk:
            self._chunk, self._before, self._sums = 0, 0.0, self._sums_of(0)
        while self._chunk < chunk:
            self._before += float(self._sums[-1])
            self._chunk += 1
            self._sums = self._sums_of(self._chunk)
        return reflect(self._start + self._before + float(self._sums[tick]), self._low, self._high)

    def _sums_of(self, chunk: int) -> NDArray[np.float64]:
        """Where a chunk has led after each of its ticks, [CHUNK + 1], from 0."""
        increments = self._streams.of(Purpose.WALK, chunk).standard_normal(_CHUNK) * self._deviation
        return np.concatenate([[0.0], np.cumsum(increments)])


def reflect(x: float, low: float, high: float) -> float:
    """Fold a free path into [low, high]: a Brownian path so folded is Brownian motion between reflecting walls."""
    width = high - low
    if width == 0.0:
        return low
    y = (x - low) % (2.0 * width)
    return low + min(y, 2.0 * width - y)
