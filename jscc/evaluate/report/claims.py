"""Section 4.2 of the paper, claim by claim, against a table of the bench.

`python -m jscc.evaluate.report.claims DIR --page PAGE.md` writes the table of a run's DIR between the marks of a page.
The claims and their criteria are in `jscc.evaluate.report.criteria`.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from jscc.cli import exit_code
from jscc.evaluate.report.criteria import CLAIMS, Finding
from jscc.evaluate.report.gains import Curves, Missing
from jscc.evaluate.rows import Row, Table
from wire import quality
from wire.runtime.errors import UserError
from wire.runtime.files import write_atomically

MARKS: Final = ("<!-- claims -->", "<!-- end of claims -->")


def table(rows: Sequence[Row], settings: Mapping[str, Any]) -> str:
    """A Markdown table: what the paper says, what was measured, whether it holds.

    rows      of one run, envelopes of LDPC modes included
    settings  of settings.json; "trained_for" tells the systems that were trained for MS-SSIM
    source    paper, section 4.2
    """
    curves = Curves(rows, settings.get("trained_for", {}))
    lines = ["| | the paper (section 4.2) | here (gains ± standard error over pairs) | holds |", "|---|---|---|---|"]
    for number, (sentence, measure) in enumerate(CLAIMS, 1):
        try:
            finding = measure(curves)
        except Missing as missing:
            finding = Finding(f"needs {missing}", "not measured")
        lines.append(f"| {number} | {sentence} | {finding.numbers} | {finding.holds} |")
    return "\n".join([*lines, "", *_scenes(settings)]).rstrip() + "\n"


def _scenes(settings: Mapping[str, Any]) -> list[str]:
    """The numbers under each gallery, for Fig. 4."""
    return [
        f"`{name}`: "
        + "; ".join(f"{system} {psnr:.2f} dB / {ssim:.4f}" for system, (psnr, ssim) in found.items())
        + "."
        for name, found in settings.get("galleries", {}).items()
    ]


def page(rows: Sequence[Row], settings: Mapping[str, Any]) -> str:
    """The table as a page of its own."""
    count = len({row.picture for row in rows})
    return f"# Claims of the paper\n\n{count} pairs. {quality.MS_SSIM_DEFINITION}.\n\n{table(rows, settings)}"


def fill(path: Path, text: str) -> None:
    """Put text between the marks of a page, in one move.

    raises  UserError if it has none, OSError if it cannot be read or written
    """
    whole = path.read_text(encoding="utf-8")
    before, begin, rest = whole.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not begin or not end:
        raise UserError(f"{path} has no place for the claims; put {MARKS[0]} and {MARKS[1]} where they belong")
    write_atomically(path, f"{before}{begin}\n{text}{end}{after}")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 for what the user can mend."""
    parser = argparse.ArgumentParser(
        "python -m jscc.evaluate.report.claims", description="Fill a page with the claims' numbers."
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="with results.csv and settings.json of a run")
    parser.add_argument("--page", type=Path, required=True, help="a Markdown page with the marks")
    arguments = parser.parse_args(argv)
    return exit_code(lambda: refill(arguments.folder, arguments.page))


def refill(folder: Path, page_path: Path) -> None:
    """Put the claims' table of a run's folder into a page; UserError if one of them is not there."""
    settings = folder / "settings.json"
    if not settings.exists() or not page_path.exists():
        raise UserError(f"there is no {page_path if settings.exists() else settings}")
    fill(page_path, table(Table(folder / "results.csv").read(), json.loads(settings.read_text())))


if __name__ == "__main__":
    sys.exit(main())
