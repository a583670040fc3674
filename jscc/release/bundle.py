"""Make a codec that edge and center load: `python -m jscc.ship --run runs/x --out my-codec --val DIR`.

Writes model.safetensors, encoder.onnx, decoder.onnx, card.md and SHA256SUMS. --name instead of --out ships it in
jscc/weights/.
Each file replaces its predecessor in one move, so that a program that starts then never sees half a file.
"""

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from jscc.model.checkpoint import fill, load_weights, rounded, save_weights
from jscc.model.codec import JointCodec, load
from jscc.model.config import CodecConfig
from jscc.model.interleaver import INTERLEAVERS, Interleaver
from jscc.release.model_card import model_card
from jscc.release.onnx import export, int8_settled
from jscc.train.run_log import differences, read_run, read_table, wall_seconds
from jscc.train.state import read_start
from jscc.train.validation import ms_ssim_table, neighbour_table, read_validation
from wire import codec_manifest
from wire.codec import ONNX_FILES, WEIGHTS_FILE, shipped_folder, verified
from wire.codec_manifest import MANIFEST_FILE
from wire.runtime.errors import UserError
from wire.runtime.files import replacing

CARD_FILE: Final = "card.md"


def ship(
    run: Path,
    folder: Path,
    val: Path | Tensor | None,
    snrs_db: Sequence[float],
    data: str | None = None,
    device: str | torch.device = "cpu",
    interleaver: Interleaver | None = None,
) -> str:
    """Make a codec of the averaged weights of `run`/state.pt. What a former one has in 8-bit integers goes, unless
    it is of the same decoder.

    run          folder of a training; or of a codec, or the name of a shipped one, whose files are made anew
    folder       of the codec; its files are replaced, each in one move
    snrs_db      of the card's table, dB
    val          pairs, a folder or float [B, 2, 3, 128, 256], for the card's table; without them it has none
    data         the pictures of the training with their licences; without them the card says that it does not know
    device       decodes the validation pairs
    interleaver  the order in which symbols are sent, if it shall be another one; no weight depends on it
    returns      the codec hash
    raises       OSError, ValueError or UserError for a run or pictures that cannot be read
    """
    weights, made = read_start(str(run))
    del made["from"]
    config = CodecConfig.from_dict(made["config"])
    if interleaver is not None:
        config = dataclasses.replace(config, interleaver=interleaver)
    model = JointCodec(config)
    fill(model, weights)
    about = timed({**made, "config": config.to_dict()}, run)
    pairs = read_validation(val) if isinstance(val, Path) else val
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as temporary:
        fresh = Path(temporary)
        save_weights(fresh / WEIGHTS_FILE, config, rounded(model), about)
        export(fresh / WEIGHTS_FILE, fresh)
        codec = load(fresh / WEIGHTS_FILE, device)
        table = None
        if pairs is not None:
            pairs = pairs.to(device)
            psnr = neighbour_table(codec.model, pairs, snrs_db)
            table = psnr, ms_ssim_table(codec.model, pairs, snrs_db), len(pairs)
        (fresh / CARD_FILE).write_text(model_card(folder.name, codec, about, table, data))
        # The manifest last: a program that starts in between finds that the files are not those of the old one.
        with int8_settled(folder, fresh / ONNX_FILES["decoder"]):
            for file in sorted(fresh.iterdir(), key=lambda file: file.name == MANIFEST_FILE):
                with replacing(folder / file.name) as partial:
                    file.rename(partial)
    return _hash_of(folder)


def _hash_of(folder: Path) -> str:
    """The codec hash of a folder with a manifest."""
    manifest = codec_manifest.read(folder)
    assert manifest is not None
    return manifest.codec_hash


def replaced(folder: Path) -> str | None:
    """The hash of the codec that lies where another will be shipped to, if one does."""
    weights = folder / WEIGHTS_FILE
    if not weights.is_file():
        return None
    try:
        return verified(weights)[1] or load_weights(weights)[2]
    except (OSError, ValueError, UserError):
        return "a damaged codec"


def timed(about: Mapping[str, Any], run: Path) -> dict[str, Any]:
    """`about` with "seconds" of every stage whose folder still lies beside that of the run, and holds that very run."""
    made = dict(about)
    try:
        log, settings = read_run(run), made.get("settings", {})
        same = settings and set(differences(log.about["settings"], settings)) <= {"steps"}
        if same and log.train:
            made["seconds"] = round(wall_seconds(read_table(run, "train"), until=made["step"]))
    except UserError:
        pass  # the time of a stage whose folder is gone stays as it was noted, or unknown
    if "before" in made:
        made["before"] = timed(made["before"], run.resolve().parent / made["before"]["from"])
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m jscc.ship", description="A training run -> a codec")
    parser.add_argument(
        "--run",
        type=Path,
        required=True,
        help="folder with state.pt and run.json, or a codec: shipped name or folder",
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, help="the codec's folder; give it as `codec` to edge and center")
    where.add_argument("--name", help="a folder of jscc/weights/, for example small-joint")
    parser.add_argument("--val", type=Path, help="pairs for the card's table")
    parser.add_argument("--snrs", type=float, nargs="+", default=[-2, 4, 12], help="dB, for the card's table")
    parser.add_argument("--data", metavar="TEXT", help="pictures of the training and their licence, for the card")
    parser.add_argument("--interleaver", choices=INTERLEAVERS, help="send symbols in this order; default: as trained")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(arguments)
    if args.name and not args.data:
        parser.error("--name ships a codec to everybody: say with --data what it was trained on, and the licence")
    torch.set_num_threads(max(args.threads, 1))
    folder: Path = args.out or shipped_folder() / args.name
    if folder.exists() and not folder.is_dir():
        parser.error(f"{folder} is a file, and a codec is a folder: give another --out")
    try:
        before = replaced(folder)
        codec_hash = ship(args.run, folder, args.val, args.snrs, args.data, interleaver=args.interleaver)
    except (OSError, ValueError, UserError) as error:
        sys.exit(f"{parser.prog}: {error}")
    print(
        f"{folder}: codec hash {codec_hash}"
        + (f", in the place of {before}" if before and before != codec_hash else "")
    )


if __name__ == "__main__":
    main()
