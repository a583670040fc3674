"""Make a codec that edge and center load: `python -m jscc.ship --run runs/x --out my-codec --val DIR`.

Writes model.safetensors, encoder.onnx, decoder.onnx and card.md; --name instead of --out ships it in jscc/weights/.
Each file replaces its predecessor in one move, so that a program that starts then never sees half a file.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from jscc.card import card
from jscc.checkpoint import FILE, SHIPPED, rounded, save_weights
from jscc.data import read_pairs
from jscc.export import export
from jscc.models import load
from jscc.trainstate import read_ema
from jscc.validate import neighbour_table


def ship(run: Path, folder: Path, val: Path | None, snrs_db: Sequence[float]) -> str:
    """Averaged weights of `run`/state.pt -> `folder`.

    With `val`, the card has a table of PSNRs. Returns the codec hash.
    """
    model, step, settings = read_ema(run / "state.pt")
    described = json.loads((run / "run.json").read_text())
    about = {"preset": described["preset"], "step": step, "steps": settings["steps"], "settings": settings}
    if "before" in described:
        about["before"] = described["before"]
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        fresh = Path(temporary)
        codec_hash = save_weights(fresh / FILE, model.config, rounded(model), about)
        export(fresh / FILE, fresh)
        codec = load(fresh / FILE)
        table = None
        if val is not None:
            pairs = (
                torch.from_numpy(np.stack([np.stack(pair) for pair in read_pairs(val)])).permute(0, 1, 4, 2, 3).float()
                / 255
            )
            table = neighbour_table(codec.model, pairs, snrs_db)
        (fresh / "card.md").write_text(card(folder.name, codec, about, table))
        for file in fresh.iterdir():
            os.replace(file, folder / file.name)
    return codec_hash


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m jscc.ship", description="A training run -> a codec")
    parser.add_argument("--run", type=Path, required=True, help="folder with state.pt and run.json")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, help="the codec's folder; give it as `codec` to edge and center")
    where.add_argument("--name", help="a folder of jscc/weights/, for example small-joint")
    parser.add_argument("--val", type=Path, help="pairs for the card's table")
    parser.add_argument("--snrs", type=float, nargs="+", default=[-2, 4, 12], help="dB, for the card's table")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    folder: Path = args.out or SHIPPED / args.name
    print(f"{folder}: codec hash {ship(args.run, folder, args.val, args.snrs)}")


if __name__ == "__main__":
    main()
