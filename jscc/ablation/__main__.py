"""`python -m jscc.ablation --pairs DIR... --mono DIR... --val DIR --out DIR [--only NAME ...] [--steps 1500]`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import torch

from jscc.ablation.runner import ablate
from jscc.ablation.variants import HALF, VARIANTS, reference_settings
from jscc.train.__main__ import read_device
from jscc.train.pictures import read_training
from jscc.train.precision import half_precision
from jscc.train.step import Diverged
from jscc.train.validation import read_validation
from wire.runtime.errors import UserError


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point. Ctrl-C and SIGTERM save; the same command goes on."""
    p = argparse.ArgumentParser(prog="python -m jscc.ablation", description="Train variants of the codec, and compare.")
    p.add_argument("--pairs", type=Path, nargs="*", default=[], help="folders with left/ and right/")
    p.add_argument("--mono", type=Path, nargs="*", default=[], help="folders of single pictures, for synthetic stereo")
    p.add_argument("--val", type=Path, required=True, help="folder with left/ and right/")
    p.add_argument("--out", type=Path, required=True, help="a folder for each variant, ablation.csv and ablation.md")
    names = [variant.name for variant in VARIANTS]
    p.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=f"some of: {', '.join(names)}")
    p.add_argument("--steps", type=int, default=1500)
    p.add_argument("--full-precision", action="store_true", help="no bfloat16 autocast; so on a CPU without bfloat16")
    p.add_argument("--device")
    p.add_argument("--threads", type=int, default=1)
    args = p.parse_args(arguments)
    torch.set_num_threads(max(args.threads, 1))
    cv2.setNumThreads(0)  # as in `jscc.train`
    chosen = [variant for variant in VARIANTS if args.only is None or variant.name in args.only]
    try:
        device = read_device(args.device)
        settings = reference_settings(args.steps, half=half_precision(device, full=args.full_precision))
        sources, val = read_training(args.pairs, args.mono), read_validation(args.val)
        finished = ablate(chosen, HALF, settings, sources, val, args.out, device)
    except (OSError, ValueError, Diverged, UserError) as error:
        sys.exit(f"{p.prog}: {error}")
    except KeyboardInterrupt:  # between two trainings
        finished = False
    print(f"wrote {args.out / 'ablation.md'}" if finished else "stopped: the same command goes on")


if __name__ == "__main__":
    main()
