"""What a run leaves beside its table: the Markdown page, the figures and the gallery."""

import json
from collections.abc import Sequence
from pathlib import Path

from jscc.evaluate.figures import draw
from jscc.evaluate.gallery import show
from jscc.evaluate.live import best_mode
from jscc.evaluate.registry import envelope_of, expand
from jscc.evaluate.rows import Row
from jscc.evaluate.session import Request
from jscc.evaluate.summary import markdown
from jscc.evaluate.system import Pair


def write_page(rows: Sequence[Row], out: Path, command: str) -> None:
    """`results.md`, with the command that made it, the wall time, and the encoders and weights that took part."""
    settings = json.loads((out / "settings.json").read_text())
    marks = {name: mark for name, mark in settings["systems"].items() if mark and envelope_of(name) is None}
    notes = [f"`{command}`", f"{settings['seconds'] / 60:.1f} minutes of wall time, seed {settings['seed']}."]
    notes += [f"{name}: {mark}." for name, mark in sorted(marks.items())]
    (out / "results.md").write_text(markdown(rows, "Results of the bench", notes))


def write_pictures(rows: Sequence[Row], out: Path, request: Request, shown: Pair, snr_db: float) -> None:
    """The figures, and the gallery of one pair at one SNR; LDPC is shown with the mode that is right for that SNR."""
    draw(rows, out)
    channel = request.channels[0]
    safe = best_mode(snr_db, channel).name
    entries = [
        entry
        for entry in expand(request.systems, channel)
        if envelope_of(entry.name) is None or entry.name.endswith(safe)
    ]
    # As in the paper's Fig. 4: the separate schemes first, then the baseline, then the proposed ones.
    place = {name: number for number, name in enumerate(("jpeg2000", "bpg", "baseline", "proposed-1", "proposed-2"))}
    entries.sort(key=lambda entry: next((n for name, n in place.items() if entry.name.startswith(name)), len(place)))
    systems = {entry.name: entry.build() for entry in entries}
    target = out / f"gallery-{channel}-{snr_db:g}dB.png"
    show(shown, systems, snr_db=snr_db, channel=channel, seed=request.seed, target=target)
