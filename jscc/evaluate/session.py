"""One run of the bench into one folder: what it depends on, what is left to do, and how far it is."""

import hashlib
import json
import sys
import time
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from jscc.data.pairs import read_cropped
from jscc.evaluate.report.pair_coverage import check_pair_coverage, partial_points
from jscc.evaluate.report.summary import with_envelopes, without_envelopes
from jscc.evaluate.rows import Row, Table
from jscc.evaluate.runner import plan, run
from jscc.evaluate.systems.base import Channel, Pair, System
from jscc.evaluate.systems.registry import expand
from wire import quality
from wire.geometry import DEFAULT_SIZE, PictureSize
from wire.runtime.errors import UserError
from wire.runtime.files import write_atomically
from wire.views import View

DELTAS: Final = (0.0, 5.0, 10.0)
"""Of the paper's Fig. 3 (c), dB."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to measure. `snrs` and `deltas` in dB; `systems` as the user names them."""

    systems: Sequence[str]
    channels: Sequence[Channel]
    snrs: Sequence[float]
    deltas: Sequence[float] = DELTAS
    seed: int = 0
    jobs: int = 1
    redo: Sequence[str] = ()
    """Systems, of those above, of which what is asked for is thrown away and made anew, because of new weights, say."""


def read_scenes(folder: Path, limit: int | None = None, size: PictureSize = DEFAULT_SIZE) -> list[Pair]:
    """The pairs of a folder as the edges would send them; grey ones are refused.

    limit   take at most so many, evenly spread
    size    that the edges are set to
    raises  what `jscc.data.pairs.read_cropped` does
    """
    return [Pair(*scene) for scene in read_cropped(folder, "the bench", limit=limit, grey=False, size=size).items()]


def run_session(pairs: Sequence[Pair], request: Request, out: Path, progress: TextIO = sys.stderr) -> list[Row]:
    """Measure what `out/results.csv` does not have yet; return its rows that compare, envelopes of LDPC modes included.

    Left out are, with a note, means over fewer pairs than others have: of what was cut off before and is not asked for.

    raises  UserError if `out` holds results of other pictures, or of other weights or encoders for one of the systems
            asked for, or of another seed; if means over unlike pictures would stand side by side; if nothing can be
            written there; or if `redo` has a system that is not run
    """
    builds = {entry.name: entry for entry in expand(request.systems)}
    redone = {entry.name for entry in expand(request.redo)}
    if not redone <= builds.keys():
        raise UserError(
            f"--redo {min(redone - builds.keys())} is not among the systems of this run; add it to --systems"
        )
    systems = {name: entry.build() for name, entry in builds.items()}
    cells = plan(pairs, request.channels, systems, request.snrs, request.deltas)
    thrown = {cell for cell in cells if cell.system in redone}
    table = Table(out / "results.csv")
    try:
        out.mkdir(parents=True, exist_ok=True)
        rows = [row for row in _whole_cells(without_envelopes(table.read())) if row.cell not in thrown]
        check_pair_coverage(out, cells, [row.cell for row in rows])
        gone = redone - {row.system for row in rows}
        seconds_before = _agree(out / "settings.json", pairs, systems, request.seed, redone, gone)
        table.write(rows)
    except OSError as error:
        raise UserError(f"cannot write to {out}: {error.strerror}; use another --out") from None
    done = {row.cell for row in rows}
    cells = [cell for cell in cells if cell not in done]
    bar = Progress(len(cells), progress)
    try:
        for found in run(cells, pairs, builds, systems, seed=request.seed, jobs=request.jobs):
            table.append(found)
            rows += found
            bar.step(f"{found[0].system} {found[0].channel} {found[0].snr:g} dB {found[0].picture}")
    finally:
        bar.close()
        _add_seconds(out / "settings.json", seconds_before + bar.seconds)
    rows.sort(key=_order)
    partial = partial_points(rows, progress)
    shown = with_envelopes([row for row in rows if row.cell.point not in partial])
    rows = [*shown, *(row for row in rows if row.cell.point in partial)]
    table.write(rows)
    table.write_parquet(rows)
    return shown


def _whole_cells(rows: Sequence[Row]) -> list[Row]:
    """Without cells of which a crash left only one view."""
    views = Counter(row.cell for row in rows)
    return [row for row in rows if views[row.cell] == len(View)]


def _order(row: Row) -> tuple[str, str, float, float, str, str]:
    return (*row.cell[:2], row.delta, row.snr, row.picture, row.view)


def _agree(
    path: Path,
    pairs: Sequence[Pair],
    systems: Mapping[str, System],
    seed: int,
    redone: Container[str],
    gone: Container[str],
) -> float:
    """Compare with what the folder's rows were made from, and add what is new. Returns seconds already spent.

    gone  those of `redone` of which no row is left: they may be others now
    """
    old = json.loads(path.read_text()) if path.exists() else {}
    for kind in ("systems", "trained_for"):
        old[kind] = {name: mark for name, mark in old.get(kind, {}).items() if name not in gone}
    pictures = {pair.name: hashlib.sha256(pair.views.tobytes()).hexdigest()[:16] for pair in pairs}
    prints = {name: str(getattr(system, "fingerprint", "")) for name, system in systems.items()}
    aims = {name: str(getattr(system, "trained_for", "")) for name, system in systems.items()}
    if old.get("seed", seed) != seed:
        raise UserError(f"{path.parent} was made with --seed {old['seed']}; use that, or another --out")
    size = str(pairs[0].size)
    before = old.get("size", str(DEFAULT_SIZE)) if "seed" in old else size
    if before != size:
        raise UserError(f"{path.parent} was made with pictures of {before}, not {size}; use another --out")
    for kind, new in (("pictures", pictures), ("systems", prints)):
        for name, mark in new.items():
            before = old.get(kind, {}).get(name, mark)
            if before != mark:
                mend = "use another --out"
                if kind == "systems":
                    whole = "let --redo have every channel, SNR, delta and pair of the folder"
                    mend = f"{whole if name in redone else f'add --redo {name}'}, or {mend}"
                raise UserError(f"{path.parent} has results of another {name} ({before}, now {mark}); {mend}")
    settings = old | {
        "seed": seed,
        "size": size,
        "ms_ssim": quality.MS_SSIM_DEFINITION,
        "seconds": old.get("seconds", 0.0),
        "systems": old["systems"] | prints,
        "trained_for": old["trained_for"] | {name: aim for name, aim in aims.items() if aim},
        "pictures": old.get("pictures", {}) | pictures,
    }
    write_atomically(path, json.dumps(settings, indent=1) + "\n")
    return float(settings["seconds"])


def _add_seconds(path: Path, seconds: float) -> None:
    settings = json.loads(path.read_text())
    write_atomically(path, json.dumps(settings | {"seconds": round(seconds, 1)}, indent=1) + "\n")


class Progress:
    """A line that says how far a run is: redrawn on a terminal, printed every twentieth of the way elsewhere."""

    def __init__(self, total: int, stream: TextIO) -> None:
        self.total, self.stream, self.count = total, stream, 0
        self.started = time.monotonic()
        self._terminal = stream.isatty()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def step(self, what: str) -> None:
        self.count += 1
        left = round(self.seconds / self.count * (self.total - self.count))
        filled = 24 * self.count // self.total
        line = f"[{'#' * filled:<24}] {self.count}/{self.total}  {left // 60} min {left % 60:02} s left  {what}"
        if self._terminal:
            self.stream.write(f"\r\x1b[K{line[:118]}")
        elif 20 * self.count // self.total > 20 * (self.count - 1) // self.total:
            self.stream.write(line + "\n")
        self.stream.flush()

    def close(self) -> None:
        if self._terminal and self.count:
            self.stream.write("\n")
