"""Train a codec: `python -m jscc.train --preset small --pairs DIR... --mono DIR... --val DIR --out runs/x`.

One step: cut pairs at random, draw the links, send, decode, descend. Patches first (they learn faster per second),
whole pictures for the last part (power is normalised per picture, so patches and pictures spend it differently).
Everything random is a function of (seed, step), so `--resume` continues exactly. SIGTERM and Ctrl-C save and stop.
Several processes: `torchrun --nproc-per-node 2 -m jscc.train ...`, with `--out` in a folder that all of them see.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import torch

from jscc.data.batches import Mixture, Sources, read_sources
from jscc.model.codec import count
from jscc.model.config import PRESETS, preset
from jscc.train.distributed import ProcessGroup, processes
from jscc.train.link_sampling import LinkSampling
from jscc.train.loop import Cadence, run
from jscc.train.loss import DISTORTIONS
from jscc.train.overrides import changed
from jscc.train.run_folder import RunFolder
from jscc.train.settings import TrainSettings
from jscc.train.start import begin
from jscc.train.state import TrainState
from jscc.train.step import Diverged
from jscc.train.validation import read_validation
from wire.runtime.errors import UserError

NUMBERS = (
    "steps",
    "seed",
    "lr",
    "warm_up",
    "weight_decay",
    "ema",
    "alpha",
    "patches",
    "pictures",
    "whole_share",
)


def read_training(pairs: Sequence[Path], mono: Sequence[Path]) -> Sources:
    """The training pictures; FileNotFoundError or ValueError says which folder cannot be used."""
    for option, folders in (("--pairs", pairs), ("--mono", mono)):
        for folder in folders:
            if not folder.is_dir():
                raise FileNotFoundError(f"{option}: there is no folder {folder}")
    sources = read_sources(pairs, mono)
    if not (sources.colour or sources.grey or sources.mono):
        raise ValueError("no pictures to train on: give --pairs or --mono")
    return sources


def read_device(name: str | None) -> torch.device:
    """The device called `name`; by default CUDA if it is there, one for each of torchrun's processes. ValueError."""
    if name is None:
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {name} cannot be used: {str(error).splitlines()[0]}") from error


def check_team(processes: int, settings: TrainSettings) -> None:
    """ValueError if a process would have nothing to do in some step."""
    if processes > settings.fewest_pairs():
        raise ValueError(
            f"{processes} processes cannot share {settings.fewest_pairs()} pairs:"
            " give --pictures (and --patches) at least as many as processes"
        )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    default, cadence = TrainSettings(), Cadence()
    p = argparse.ArgumentParser(prog="python -m jscc.train", description="Train a codec.")
    p.add_argument("--preset", choices=sorted(PRESETS), default="small")
    p.add_argument("--baseline", action="store_true", help="without joint decoding: each view alone")
    p.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="PART.KEY=VALUE",
        help="change a number of the codec, the mixture or the draws: codec.epipolar=false mixture.mono_share=0"
        " draws.absent_other=0.1",
    )
    p.add_argument(
        "--init", help="begin with the weights of another run (its folder), or of a codec (name, folder or file)"
    )
    p.add_argument("--pairs", type=Path, nargs="*", default=[], help="folders with left/ and right/")
    p.add_argument("--mono", type=Path, nargs="*", default=[], help="folders of single pictures, for synthetic stereo")
    p.add_argument("--val", type=Path, help="folder with left/ and right/, to choose models on")
    p.add_argument(
        "--out", type=Path, required=True, help="the run's folder: state.pt, train.csv, val.csv, val-STEP.png, run.json"
    )
    p.add_argument("--resume", action="store_true", help="continue from the run's state.pt, if there is one")
    p.add_argument(
        "--stop-after", type=int, help="stop after this many steps of this call; the schedule still ends at --steps"
    )
    p.add_argument("--device", help="cpu, cuda...; default: cuda if it is there, of torchrun's processes one each")
    p.add_argument("--threads", type=int, default=0, help="torch threads; 0 leaves torch's default")
    p.add_argument("--log-every", type=int, default=cadence.log_every)
    p.add_argument("--val-every", type=int, default=cadence.val_every)
    p.add_argument("--save-minutes", type=float, default=cadence.save_minutes)
    p.add_argument("--optimiser", choices=("adamw", "muon"), default=default.optimiser)
    p.add_argument("--loss", choices=DISTORTIONS, default=default.loss)
    p.add_argument("--full-precision", action="store_true", help="no bfloat16 autocast")
    for name in NUMBERS:
        value = getattr(default, name)
        p.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value, help=f"default {value}")
    return p


def settings_of(args: argparse.Namespace) -> TrainSettings:
    """The settings that the command line asks for."""
    return TrainSettings(
        **{name: getattr(args, name) for name in (*NUMBERS, "optimiser", "loss")},
        half_precision=not args.full_precision,
        mixture=changed(Mixture(), args.set, "mixture"),
        draws=changed(LinkSampling(), args.set, "draws"),
    )


def main(arguments: Sequence[str] | None = None) -> TrainState:
    """Entry point. What the user can mend ends it with one line."""
    args = parser().parse_args(arguments)
    if args.threads > 0:
        torch.set_num_threads(args.threads)
    cv2.setNumThreads(
        0
    )  # cutting batches has a thread of its own; OpenCV's would take the cores that torch computes on
    try:
        device = read_device(args.device)
        settings = settings_of(args)
        check_team(processes(), settings)
        config = changed(preset(args.preset, joint=not args.baseline), args.set, "codec")
        cadence = Cadence(args.log_every, args.val_every, args.save_minutes, args.stop_after)
        sources = read_training(args.pairs, args.mono)
        val = read_validation(args.val) if args.val else None
        folder = RunFolder(args.out)
        state = begin(args, config, settings, folder, sources, device)
    except (OSError, ValueError, UserError) as error:
        sys.exit(f"{parser().prog}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"{parser().prog}: stopped before this call's first step; what was saved stays")

    team = ProcessGroup.gather(device)
    if not team.agrees(state.step, device):
        team.shutdown()
        sys.exit(f"{parser().prog}: process {team.rank} is at step {state.step}, others are not: share --out with all")
    team.start_alike(state.model, state.ema)
    if team.rank == 0:
        print(
            f"pictures: {len(sources.colour)} colour pairs, {len(sources.grey)} grey pairs, {len(sources.mono)} single"
        )
        print(
            f"training {count(state.model) / 1e6:.2f} M parameters on {device.type}, processes: {team.size}", flush=True
        )
        if state.step:
            print(f"resumed at step {state.step}", flush=True)
    try:
        run(state, settings, cadence, folder, sources, val, device, team)
    except Diverged as error:
        sys.exit(f"{parser().prog}: {error}; {folder.state} holds what was saved before, if anything")
    finally:
        team.shutdown()
    if team.rank == 0 and state.step >= settings.steps:
        words = ["python", "-m", "jscc.ship", "--run", str(args.out), "--out", "my-codec"]
        words += ["--val", str(args.val)] if args.val else []
        print(f"finished: {shlex.join([*words, '--data', 'PICTURES (LICENCE)'])}")
    return state


if __name__ == "__main__":
    main()
