"""The results of finished variants as ablation.csv and ablation.md."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jscc.train.validation import NEIGHBOURS, SNRS_DB
from wire.runtime.files import write_atomically

REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Result:
    """A finished variant.

    psnr              as `jscc.train.validation.neighbour_table` gives it
    seconds_per_step  over the whole run
    """

    name: str
    tells: str
    parameters: int
    seconds_per_step: float
    psnr: dict[str, float]


def write_tables(folder: Path, results: Sequence[Result], header: str) -> None:
    """Write both files; differences to the reference stand where it is among the results."""
    reference = next((result.psnr for result in results if result.name == REFERENCE), None)
    _write_csv(folder / "ablation.csv", results, reference)
    write_atomically(folder / "ablation.md", _markdown(results, reference, header))


def _write_csv(path: Path, results: Sequence[Result], reference: dict[str, float] | None) -> None:
    """One row a variant: PSNR of each neighbour@SNR, then the same minus the reference's."""
    keys = [f"{kind}@{snr:g}" for snr in SNRS_DB for kind in NEIGHBOURS]
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["variant", "seconds_per_step", "parameters", *keys, *(f"difference {key}" for key in keys)])
    for result in results:
        differences = [f"{result.psnr[key] - reference[key]:.4f}" if reference else "" for key in keys]
        numbers = [f"{result.psnr[key]:.4f}" for key in keys]
        writer.writerow([result.name, f"{result.seconds_per_step:.4f}", result.parameters, *numbers, *differences])
    write_atomically(path, buffer.getvalue())


def _markdown(results: Sequence[Result], reference: dict[str, float] | None, header: str) -> str:
    lines = ["# Ablations", "", header, "", "| variant | what it is | s/step | parameters |", "|---|---|---|---|"]
    lines += [f"| {r.name} | {r.tells} | {r.seconds_per_step:.3f} | {r.parameters:,} |" for r in results]
    for snr in SNRS_DB:
        lines += ["", f"## {snr:g} dB", "", "PSNR in dB by the kind of neighbour (difference to the reference).", ""]
        lines += ["| variant | " + " | ".join(NEIGHBOURS) + " |", "|---" * (1 + len(NEIGHBOURS)) + "|"]
        for result in results:
            cells = []
            for key in (f"{kind}@{snr:g}" for kind in NEIGHBOURS):
                compared = reference is not None and result.name != REFERENCE
                difference = f" ({result.psnr[key] - reference[key]:+.2f})" if compared and reference else ""
                cells.append(f"{result.psnr[key]:.2f}{difference}")
            lines.append(f"| {result.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
