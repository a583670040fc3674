"""The command line of `python -m jscc.train`."""

import argparse
from pathlib import Path

import torch

from jscc.data.batches import Mixture
from jscc.model.config import PRESETS
from jscc.train.link_sampling import LinkSampling
from jscc.train.loop import Cadence
from jscc.train.loss import DISTORTIONS
from jscc.train.overrides import changed
from jscc.train.precision import half_precision
from jscc.train.settings import TrainSettings

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
        "--pack", type=Path, nargs="*", default=[], help="files of python -m jscc.pack, for --pairs, --mono and --val"
    )
    p.add_argument(
        "--freeze-encoder",
        action="store_true",
        help="train the decoder alone, for the symbols of --init; the decoder may have another size than there",
    )
    p.add_argument(
        "--out", type=Path, required=True, help="the run's folder: state.pt, train.csv, val.csv, val-STEP.png, run.json"
    )
    p.add_argument("--resume", action="store_true", help="continue from the run's state.pt, if there is one")
    p.add_argument(
        "--stop-after", type=int, help="stop after this many steps of this call; the schedule still ends at --steps"
    )
    p.add_argument(
        "--sizes",
        type=lambda text: tuple(text.split(",")),
        default=default.sizes,
        metavar="RxC,RxC",
        help="of whole pictures, such as 128x256,256x512: each step of the last part has one, drawn; default 128x256",
    )
    p.add_argument("--device", help="cpu, cuda...; default: cuda if it is there, of torchrun's processes one each")
    p.add_argument(
        "--pictures-on",
        choices=("auto", "host", "device"),
        default="auto",
        help="where windows are cut: on the device, with all pictures in its memory, or on the host; default: device"
        " for CUDA and for --pack, host otherwise and for several processes",
    )
    p.add_argument(
        "--graph",
        choices=("auto", "on", "off"),
        default="auto",
        help="a step as a CUDA graph; default: on where pictures lie on a CUDA device",
    )
    p.add_argument(
        "--compile",
        choices=("on", "off"),
        default="off",
        help="torch.compile the network where pictures lie on the device: each of the two sizes takes minutes to begin;"
        " pays in long trainings",
    )
    p.add_argument(
        "--minutes",
        type=float,
        help="take so long in all: measures the speed, then sets --steps by it; --ship counts in",
    )
    p.add_argument(
        "--ship", type=Path, metavar="DIR", help="at the end make a codec of it there, as python -m jscc.ship"
    )
    p.add_argument("--ship-seconds", type=float, default=60.0, help="of --minutes kept for --ship; default 60")
    p.add_argument("--ship-snrs", type=float, nargs="+", default=[-2, 4, 12], help="dB, for the card's table")
    p.add_argument("--data", metavar="TEXT", help="pictures of the training and their licence, for the card of --ship")
    p.add_argument("--threads", type=int, default=0, help="torch threads; 0 leaves torch's default")
    p.add_argument("--log-every", type=int, default=cadence.log_every)
    p.add_argument("--val-every", type=int, default=cadence.val_every)
    p.add_argument("--save-minutes", type=float, default=cadence.save_minutes)
    p.add_argument("--optimiser", choices=("adamw", "muon"), default=default.optimiser)
    p.add_argument("--loss", choices=DISTORTIONS, default=default.loss)
    p.add_argument("--full-precision", action="store_true", help="no bfloat16 autocast; so on a CPU without bfloat16")
    for name in NUMBERS:
        value = getattr(default, name)
        p.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value, help=f"default {value}")
    return p


def settings_of(args: argparse.Namespace, device: torch.device) -> TrainSettings:
    """The settings that the command line asks for, as far as the device can do them."""
    return TrainSettings(
        **{name: getattr(args, name) for name in (*NUMBERS, "optimiser", "loss", "sizes")},
        half_precision=half_precision(device, full=args.full_precision),
        mixture=changed(Mixture(), args.set, "mixture"),
        draws=changed(LinkSampling(), args.set, "draws"),
    )
