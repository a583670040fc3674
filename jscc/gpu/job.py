"""One job for a GPU host: train so many minutes, ship, measure, and leave few and small files.

    python3 -m jscc.gpu.job --out $OUT --minutes 8 --preset small --pack pictures.bin --patches 96 --pictures 32

What the job does not know goes to `python -m jscc.train`. It needs Python 3.11, torch, numpy, safetensors, OpenCV, onnx
and onnxscript; MS-SSIM is told where pytorch-msssim is there. Whatever fails, what was made by then comes home:

    job.log         what was printed
    result.tar.*    `cat result.tar.* | tar x`: run.json, train.csv, val.csv, bench.json, the codec (averaged weights in
                    float16, ONNX files, card), last.safetensors (the weights that were averaged), state.pt if there is
                    room
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import torch

from jscc.gpu.parcel import pack_parcel
from jscc.model.checkpoint import rounded, save_weights
from jscc.model.codec import JointCodec
from jscc.model.config import CodecConfig
from jscc.train.run_folder import described
from jscc.train.state import read_state


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit code of the training."""
    parser = argparse.ArgumentParser(prog="python3 -m jscc.gpu.job", description="A training for a GPU host")
    parser.add_argument("--out", type=Path, required=True, help="where job.log and result.tar.* go")
    parser.add_argument("--work", type=Path, help="for the run and the codec; default: OUT/../job")
    parser.add_argument("--minutes", type=float, default=8.0, help="of training, shipping counted in; default 8")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--bench-seconds", type=float, default=1.0, help="of each measurement; 0 measures nothing")
    parser.add_argument("--bench-batches", type=int, nargs="+", default=[1, 4, 16, 64], help="pairs decoded at once")
    parser.add_argument("--bench-compile", action="store_true", help="measure torch.compile as well: takes minutes")
    parser.add_argument("--patches", type=int, default=96, help="pairs of patches in a step; default 96")
    parser.add_argument("--pictures", type=int, default=32, help="whole pairs in a step; default 32")
    args, training = parser.parse_known_args(arguments)
    args.out.mkdir(parents=True, exist_ok=True)
    work: Path = args.work or args.out.resolve().parent / "job"
    run, codec = work / "run", work / "codec"
    work.mkdir(parents=True, exist_ok=True)
    alike = ["--preset", args.preset, "--device", args.device]
    alike += ["--patches", str(args.patches), "--pictures", str(args.pictures)]
    began = time.monotonic()
    with (args.out / "job.log").open("a") as log:
        train = ["-m", "jscc.train", *alike, "--minutes", str(args.minutes), "--out", str(run), "--ship", str(codec)]
        code = tell(log, [*train, *training])
        if (run / "state.pt").is_file():
            save_last(run)
        if args.bench_seconds > 0:
            bench = ["-m", "jscc.gpu.bench", *alike, "--seconds", str(args.bench_seconds)]
            bench += ["--batches", *map(str, args.bench_batches), "--out", str(work / "bench.json")]
            tell(log, [*bench, "--compile"] if args.bench_compile else bench)
        left_out = pack_parcel(parcel_files(work), args.out)
        line = f"job: {time.monotonic() - began:.0f} s, exit code {code}; left out: {', '.join(left_out) or 'nothing'}"
        print(line, flush=True)
        log.write(f"{line}\n")
    return code


def parcel_files(work: Path) -> list[tuple[str, Path]]:
    """What comes home, the most important first."""
    run, codec = work / "run", work / "codec"
    small = [(f"run/{name}", run / name) for name in ("run.json", "train.csv", "val.csv")]
    weights = [(f"codec/{name}", codec / name) for name in ("card.md", "model.safetensors")]
    graphs = [(f"codec/{name}", codec / name) for name in ("encoder.onnx", "decoder.onnx")]
    last = [("run/last.safetensors", run / "last.safetensors")]
    pictures = [(f"run/{path.name}", path) for path in sorted(run.glob("val-*.png"))[-1:]]
    bench = [("bench.json", work / "bench.json")]
    return [*small, *bench, *weights, *last, *graphs, *pictures, ("run/state.pt", run / "state.pt")]


def save_last(run: Path) -> None:
    """The weights of state.pt that are averaged, in float16, as run/last.safetensors."""
    saved = read_state(run / "state.pt")
    model = JointCodec(CodecConfig.from_dict(saved["config"]))
    model.load_state_dict(saved["model"])
    about = {**described(run), "step": int(saved["step"]), "settings": dict(saved["settings"])}
    save_weights(run / "last.safetensors", model.config, rounded(model), about)


def tell(log: TextIO, command: list[str]) -> int:
    """Run a command of ours; what it prints goes to the screen and into the log."""
    process = subprocess.Popen(
        [sys.executable, "-u", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", flush=True)
        log.write(line)
        log.flush()
    return process.wait()


if __name__ == "__main__":
    sys.exit(main())
