"""One job for a GPU host: train so many minutes, ship, measure, and leave few and small files.

    python3 -m jscc.gpu.job --out $OUT --minutes 8 --preset small --pack pictures.bin --patches 96 --pictures 32

What the job does not know goes to `python -m jscc.train`. It needs Python 3.11, torch, numpy, safetensors, OpenCV, onnx
and onnxscript; MS-SSIM is told where pytorch-msssim is there. Whatever fails, and also when the host's time is up
(SIGTERM, or --limit-minutes), what was made by then comes home:

    job.log         what was printed
    result.tar.*    `cat result.tar.* | tar x`: run.json, train.csv, val.csv, bench.json, the codec (averaged weights in
                    float16, ONNX files, card), last.safetensors (the weights that were averaged), state.pt if there is
                    room
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from jscc.gpu.children import Children
from jscc.gpu.parcel import pack_parcel
from jscc.model.checkpoint import rounded, save_weights
from jscc.model.codec import JointCodec
from jscc.model.config import CodecConfig
from jscc.train.loop import Signals
from jscc.train.run_folder import STATE, described
from jscc.train.state import read_state
from wire.codec_manifest import MANIFEST_FILE

PROGRAM: Final = "python3 -m jscc.gpu.job"
ALLOWANCE: Final = 1.5
"""Minutes beside --minutes, for all that starts and for the bench, unless --limit-minutes says otherwise."""
SAVING: Final = 8.0
"""Seconds of the limit that a command has to save when it is told to end; then it is killed."""
PACKING: Final = 4.0
"""Seconds of the limit that are then left to pack."""
CUT_OFF: Final = 124
"""The exit code when the training did not end by itself, as of timeout(1)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit code of the training, `CUT_OFF` if it did not end by itself."""
    began = time.monotonic()
    args, training = read_arguments(arguments)
    work: Path = args.work or args.out.resolve().parent / "job"
    prepare(work, resumes="--resume" in training)
    args.out.mkdir(parents=True, exist_ok=True)
    ends = began + 60 * args.limit_minutes - SAVING - PACKING
    with (args.out / "job.log").open("a") as log, Signals() as signals:
        job = Children(log, ends, lambda: signals.came, SAVING)
        try:
            code = job.run(training_command(args, work, training), saves=work / "run" / STATE)
        finally:  # now, because the bench takes what time the host still gives
            save_last(work / "run", job)
            pack(work, args.out, job)
        never_began = code not in (0, None) and not (work / "run" / STATE).exists()
        if never_began:
            job.say("job: nothing was trained, as the lines above tell; the same command tries again")
        elif args.bench_seconds > 0:
            try:
                job.run(bench_command(args, work))
            finally:
                pack(work, args.out, job)
        code = CUT_OFF if code is None else code if code >= 0 else 128 - code
        job.say(f"job: {time.monotonic() - began:.0f} s, exit code {code}")
    return code


def read_arguments(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    """What the job knows, and what is for the training alone; ends the program for what makes no sense."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description="A training for a GPU host", allow_abbrev=False)
    add = parser.add_argument
    add("--out", type=Path, required=True, help="where job.log and result.tar.* go")
    add("--work", type=Path, help="for the run and the codec; default: OUT/../job")
    add("--minutes", type=float, default=8.0, help="of training, shipping counted in; default 8")
    add("--steps", type=int, help="train so many steps instead")
    add(
        "--limit-minutes",
        type=float,
        help="when all is over, packing counted in, whatever runs then; default: --minutes and 1.5 more",
    )
    add("--no-ship", action="store_true", help="make no codec: python -m jscc.ship does, later, of state.pt")
    add("--bench-seconds", type=float, default=1.0, help="of each measurement; 0 measures nothing")
    add("--bench-batches", type=int, nargs="+", default=[1, 4, 16, 64], help="pairs decoded at once")
    add("--bench-compile", action="store_true", help="measure torch.compile as well: takes minutes")
    both = parser.add_argument_group("of the training and of the bench")
    both.add_argument("--preset", default="small")
    both.add_argument("--baseline", action="store_true")
    both.add_argument("--set", nargs="+", action="extend", default=[], metavar="PART.KEY=VALUE")
    both.add_argument("--optimiser")
    both.add_argument("--full-precision", action="store_true")
    both.add_argument("--device", help="default: cuda if it is there")
    both.add_argument("--patches", type=int, default=96, help="pairs of patches in a step; default 96")
    both.add_argument("--pictures", type=int, default=32, help="whole pairs in a step; default 32")
    args, training = parser.parse_known_args(arguments)
    if args.limit_minutes is None:
        args.limit_minutes = args.minutes + ALLOWANCE
    least = (SAVING + PACKING) / 60 + (args.minutes if args.steps is None else 0)
    if not args.limit_minutes > least:
        parser.error(
            f"--limit-minutes is {args.limit_minutes:g}; it must be above {least:.2f}, to train, save and pack"
        )
    return args, training


def prepare(work: Path, *, resumes: bool) -> None:
    """Make the folder, of a run that goes on there without what this job makes anew.

    Ends the program if there is a run that is not to go on. One that failed before its first save is none.
    """
    made = [work / name for name in (f"run/{STATE}", "codec", "bench.json")]
    if not resumes and any(path.exists() for path in made):
        sys.exit(f"{PROGRAM}: {work} holds another job's run: add --resume to go on with it, or give another --work")
    work.mkdir(parents=True, exist_ok=True)
    for old in (work / "bench.json", work / "run" / "last.safetensors"):
        old.unlink(missing_ok=True)


def training_command(args: argparse.Namespace, work: Path, more: Sequence[str]) -> list[str]:
    """The training, with `more` of its options."""
    length = ["--minutes", str(args.minutes)] if args.steps is None else ["--steps", str(args.steps)]
    ship = [] if args.no_ship else ["--ship", str(work / "codec")]
    return ["-m", "jscc.train", *_alike(args), *length, "--out", str(work / "run"), *ship, *more]


def bench_command(args: argparse.Namespace, work: Path) -> list[str]:
    """Measurements of the same network."""
    command = ["-m", "jscc.gpu.bench", *_alike(args), "--seconds", str(args.bench_seconds)]
    command += ["--batches", *map(str, args.bench_batches), "--out", str(work / "bench.json")]
    return [*command, "--compile"] if args.bench_compile else command


def _alike(args: argparse.Namespace) -> list[str]:
    """What the two are given alike."""
    options = ["--preset", args.preset, "--patches", str(args.patches), "--pictures", str(args.pictures)]
    options += ["--baseline"] if args.baseline else []
    options += ["--full-precision"] if args.full_precision else []
    options += ["--set", *args.set] if args.set else []
    options += ["--optimiser", args.optimiser] if args.optimiser else []
    options += ["--device", args.device] if args.device else []
    return options


def pack(work: Path, out: Path, job: Children) -> None:
    """Put what there is into OUT, in the place of what was packed before."""
    left_out = pack_parcel(parcel_files(work), out)
    job.say(f"job: packed; left out: {', '.join(left_out) or 'nothing'}")


def parcel_files(work: Path) -> list[tuple[str, Path]]:
    """What comes home, the most important first."""
    run, codec = work / "run", work / "codec"
    small = [(f"run/{name}", run / name) for name in ("run.json", "train.csv", "val.csv")]
    weights = [(f"codec/{name}", codec / name) for name in ("card.md", "model.safetensors")]
    graphs = [(f"codec/{name}", codec / name) for name in ("encoder.onnx", "decoder.onnx", MANIFEST_FILE)]
    last = [("run/last.safetensors", run / "last.safetensors")]
    by_step = sorted(run.glob("val-*.png"), key=lambda path: (len(path.name), path.name))
    pictures = [(f"run/{path.name}", path) for path in by_step[-1:]]
    bench = [("bench.json", work / "bench.json")]
    return [*small, *bench, *weights, *last, *graphs, *pictures, ("run/state.pt", run / STATE)]


def save_last(run: Path, job: Children) -> None:
    """The weights of state.pt that are averaged, in float16, as run/last.safetensors; a line says if it cannot be."""
    if not (run / STATE).is_file():
        return
    try:
        saved = read_state(run / STATE)
        model = JointCodec(CodecConfig.from_dict(saved["config"]))
        model.load_state_dict(saved["model"])
        about = {**described(run), "step": int(saved["step"]), "settings": dict(saved["settings"])}
        save_weights(run / "last.safetensors", model.config, rounded(model), about)
    except Exception as error:  # whatever is wrong with one file, the others come home
        reason, *_ = str(error).splitlines() or [type(error).__name__]
        job.say(f"job: no last.safetensors: {reason}")


if __name__ == "__main__":
    sys.exit(main())
