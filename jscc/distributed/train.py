"""Train a codec with side information: python -m jscc.distributed.train --system dwsic --pairs FOLDER --out DIR."""

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jscc.cli import exit_code
from jscc.data.batches import Mixture, Sources, batch
from jscc.distributed.codec import SYSTEMS, Widths
from jscc.distributed.loop import Pace, run
from jscc.distributed.settings import DistributedSettings
from jscc.distributed.state import DistributedState
from jscc.train.overrides import changed
from jscc.train.pictures import read_pictures
from jscc.train.precision import half_precision
from jscc.train.run_folder import RunFolder, described
from jscc.train.schedule import PATCH
from wire.runtime.errors import UserError

NUMBERS = ("steps", "seed", "lr", "warm_up", "ema", "alpha", "beta", "patches", "pictures", "whole_share")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    default, pace, widths = DistributedSettings(), Pace(), Widths()
    p = argparse.ArgumentParser(prog="python -m jscc.distributed.train", description="Train DSIN or DWSIC.")
    p.add_argument("--system", choices=SYSTEMS, required=True, help="codec: without side information, for DSIN")
    p.add_argument(
        "--lambda",
        dest="lambdas",
        type=float,
        nargs="+",
        default=list(widths.lambdas),
        help="bits per pixel that a unit of squared error, of 255ths, is worth; a rate level for each",
    )
    p.add_argument(
        "--widths",
        type=int,
        nargs=4,
        metavar="N",
        help="channels of the transform, four; the other view's own transform, for training alone, has half of them",
    )
    p.add_argument("--pairs", type=Path, nargs="*", default=[], help="folders with left/ and right/")
    p.add_argument("--mono", type=Path, nargs="*", default=[], help="folders of single pictures, for synthetic stereo")
    p.add_argument("--val", type=Path, help="folder with left/ and right/, to choose models on")
    p.add_argument("--out", type=Path, required=True, help="the run's folder: state.pt, train.csv, val.csv, run.json")
    p.add_argument("--init", type=Path, help="folder of a run to begin with; dsin needs one of --system codec")
    p.add_argument("--resume", action="store_true", help="continue from the run's state.pt, if there is one")
    p.add_argument("--minutes", type=float, default=pace.minutes, help="stop after so many; --resume goes on")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--save-minutes", type=float, default=pace.save_minutes)
    p.add_argument("--log-every", type=int, default=pace.log_every)
    p.add_argument("--val-every", type=int, default=pace.val_every)
    p.add_argument("--set", nargs="+", action="extend", default=[], metavar="mixture.KEY=VALUE")
    p.add_argument("--full-precision", action="store_true", help="no bfloat16 autocast; so on a CPU without bfloat16")
    for name in NUMBERS:
        value = getattr(default, name)
        p.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value, help=f"default {value}")
    return p


def main(args: argparse.Namespace) -> None:
    """Train; UserError says what cannot be done."""
    torch.set_num_threads(max(args.threads, 1))
    try:
        settings = DistributedSettings(
            **{name: getattr(args, name) for name in NUMBERS},
            half_precision=half_precision(torch.device("cpu"), full=args.full_precision),
            mixture=changed(Mixture(), args.set, "mixture"),
        )
        widths = Widths(lambdas=tuple(args.lambdas))
        if args.widths is not None:
            private = tuple(max(1, width // 2) for width in args.widths)
            widths = dataclasses.replace(widths, main=tuple(args.widths), private=private)
        folder = RunFolder(args.out)
        pictures = read_pictures(args.pairs, args.mono, args.val, [])
        state = start(args, widths, settings, folder, pictures.sources)
        now = {"settings": dataclasses.asdict(settings), "data": pictures.described()}
        folder.describe({**described(folder.path), **now})
        pace = Pace(args.log_every, args.val_every, args.save_minutes, args.minutes)
        run(state, settings, pictures.sources, pictures.val, folder, pace)
    except (OSError, ValueError, FloatingPointError) as error:
        raise UserError(str(error)) from error
    if state.step < settings.steps:
        print(f"stopped at step {state.step} of {settings.steps}; --resume goes on")


def start(
    args: argparse.Namespace, widths: Widths, settings: DistributedSettings, folder: RunFolder, sources: Sources
) -> DistributedState:
    """The state to train from: saved, or with another run's weights, or random; describes a new run in run.json."""
    state = DistributedState(args.system, widths, settings)
    if folder.state.exists():
        if not args.resume:
            raise ValueError(f"{folder.state} is there already: add --resume to go on, or give another --out")
        state.restore(folder.state)
        return state
    about: dict[str, Any] = {
        "system": args.system,
        "widths": widths.to_dict(),
        "settings": dataclasses.asdict(settings),
    }
    if args.init is not None:
        try:
            about["before"] = state.start_from(args.init / folder.state.name)
        except (OSError, ValueError, UserError) as error:
            raise ValueError(f"--init {args.init}: {error}") from error
        if args.system == "dwsic" and about["before"].get("system") != "dwsic":
            state.start_from_pictures(_first_pairs(sources, settings), private_only=True)
    elif args.system == "dsin":
        raise ValueError("--system dsin trains the fusion alone: give --init, a run of --system codec")
    else:
        state.start_from_pictures(_first_pairs(sources, settings))
    folder.describe(about)
    return state


def _first_pairs(sources: Sources, settings: DistributedSettings) -> Tensor:
    """Pairs of patches, float [256, 2, 3, 64, 128], of steps beyond every training step."""
    drawn = [batch(sources, settings.mixture, 32, PATCH, seed=settings.seed, step=2**32 + n) for n in range(8)]
    return torch.from_numpy(np.concatenate(drawn)).float() / 255


if __name__ == "__main__":
    sys.exit(exit_code(lambda: main(parser().parse_args())))
