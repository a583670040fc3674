"""What a run leaves beside its table: the Markdown page, the claims, the figures and the galleries."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from jscc.evaluate.report.claims import page as claims_page
from jscc.evaluate.report.figures import draw
from jscc.evaluate.report.gallery import show
from jscc.evaluate.report.networks import table
from jscc.evaluate.report.summary import markdown
from jscc.evaluate.rows import Row
from jscc.evaluate.session import Request
from jscc.evaluate.systems.base import MS_SSIM, Pair, System
from jscc.evaluate.systems.live import best_mode
from jscc.evaluate.systems.registry import Entry, envelope_of, expand
from wire.geometry import DEFAULT_SIZE, PictureSize
from wire.runtime.files import write_atomically

_ORDER: Final = ("jpeg2000", "bpg", "baseline", "proposed-1", "proposed-2")
"""Of the panels, as in the paper's Fig. 4."""


def write_report(rows: Sequence[Row], out: Path, request: Request, shown: Pair, snr_db: float, command: str) -> None:
    """Everything beside the table: figures, galleries, page.

    rows     that compare, envelopes of LDPC modes included
    out      folder of the run
    shown    pairs of the galleries
    snr_db   of the galleries, dB
    command  that made the run, for the page
    raises   OSError if something cannot be written
    """
    path = out / "settings.json"
    settings = json.loads(path.read_text())
    draw(rows, out, _aimed(settings))
    numbers = _galleries(out, request, shown, snr_db)
    settings["galleries"] = settings.get("galleries", {}) | numbers
    write_atomically(path, json.dumps(settings, indent=1) + "\n")
    write_page(rows, out, settings, command)
    write_atomically(out / "claims.md", claims_page(rows, settings))


def write_page(rows: Sequence[Row], out: Path, settings: Mapping[str, Any], command: str) -> None:
    """`results.md`: tables, the command that made it, wall time, encoders and weights, and what the networks cost."""
    marks = {name: mark for name, mark in settings["systems"].items() if mark and envelope_of(name) is None}
    notes = [f"`{command}`", f"{settings['seconds'] / 60:.1f} minutes of wall time, seed {settings['seed']}."]
    size = PictureSize.parse(settings.get("size", str(DEFAULT_SIZE)))
    notes.append(f"Pictures of {size}, {size.symbols:,} symbols each.")
    notes += [f"{name}: {mark}." for name, mark in sorted(marks.items())]
    notes += [f"{name}: trained for MS-SSIM." for name in sorted(_aimed(settings))]
    page = markdown(rows, "Results of the bench", notes)
    costs = table(settings["systems"], size)
    write_atomically(out / "results.md", f"{page}\n## The learned systems\n\n{costs}\n" if costs else page)


def _aimed(settings: Mapping[str, Any]) -> set[str]:
    return {name for name, aim in settings["trained_for"].items() if aim == MS_SSIM}


def _galleries(out: Path, request: Request, shown: Pair, snr_db: float) -> dict[str, dict[str, tuple[float, float]]]:
    """One scene at one SNR; with networks that were trained for MS-SSIM a second time, with them in their base's place.

    Returns (PSNR in dB, MS-SSIM) by file and system.
    """
    channel = request.channels[0]
    systems = {entry.name: entry.build() for entry in _panels(expand(request.systems), snr_db, request)}
    aimed = {name: system for name, system in systems.items() if getattr(system, "trained_for", "") == MS_SSIM}
    plain = {name: system for name, system in systems.items() if name not in aimed}
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for suffix, chosen in (("", plain), ("-ms-ssim", _instead(plain, aimed) if aimed else {})):
        if chosen:
            target = out / f"gallery-{channel}-{snr_db:g}dB{suffix}.png"
            found[target.name] = show(shown, chosen, snr_db=snr_db, channel=channel, seed=request.seed, target=target)
    return found


def _panels(entries: Sequence[Entry], snr_db: float, request: Request) -> list[Entry]:
    """The systems of a gallery: those of the paper's Fig. 4 and the user's own; else whatever there is.

    LDPC is shown only if there is nothing else, with the mode that is right for the SNR.
    """
    aside = ("proposed-absent", "jpeg2000-pillow")
    chosen = [e for e in entries if envelope_of(e.name) is None and not e.name.startswith(aside)]
    safe = best_mode(snr_db, request.channels[0]).name
    chosen = chosen or [e for e in entries if envelope_of(e.name) is None or e.name.endswith(safe)]
    return sorted(chosen, key=lambda e: next((n for n, name in enumerate(_ORDER) if e.name.startswith(name)), 99))


def _instead(plain: Mapping[str, System], aimed: Mapping[str, System]) -> dict[str, System]:
    bases = {name.partition("@")[0]: name for name in aimed}
    swapped = {bases.get(name, name): aimed.get(bases.get(name, name), system) for name, system in plain.items()}
    return swapped | {name: system for name, system in aimed.items() if name not in swapped}
