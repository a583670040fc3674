"""Make shipped weights of a training run: python -m jscc.distributed.ship --run DIR."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jscc.cli import exit_code
from jscc.distributed.weights import load, save, shipped
from jscc.train.run_folder import described
from jscc.train.run_log import duration, read_table, wall_seconds
from wire.runtime.errors import UserError
from wire.runtime.files import write_atomically


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m jscc.distributed.ship", description="Weights and card of a run.")
    p.add_argument("--run", type=Path, required=True, help="a run of python -m jscc.distributed.train")
    p.add_argument("--out", type=Path, help="folder to write to (default: where the bench looks)")
    p.add_argument(
        "--data", default="", metavar="TEXT", help="pictures of the training and their licence, for the card"
    )
    return p


def main(args: argparse.Namespace) -> None:
    """Write SYSTEM.safetensors and SYSTEM.md; UserError says what cannot be done."""
    try:
        system = str(described(args.run).get("system"))
        target = shipped(system) if args.out is None else args.out / f"{system}.safetensors"
        size = save(target, args.run)
        trained = load(target)
    except (OSError, ValueError) as error:
        raise UserError(f"--run {args.run}: {error}") from error
    write_atomically(target.with_suffix(".md"), card(system, trained.fingerprint, trained.about, args.run, args.data))
    print(f"wrote {target}, {size / 1e6:.1f} MB, {trained.fingerprint}, and its card")


def stages(about: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """This training and those that it began with, the latest first."""
    stage: dict[str, Any] | None = about
    while stage:
        yield stage
        stage = stage.get("before")


def card(system: str, fingerprint: str, about: dict[str, Any], run: Path, data: str) -> str:
    """The card: what it is, how it was trained, what it reached on the validation pictures."""
    lines = [f"# {system}", "", f"Weights `{fingerprint}` of `{system}-capacity`; see docs/distributed.md.", ""]
    lines += ["## Training", "", "| stage | steps | seed | learning rate |", "|---|---|---|---|"]
    for stage in stages(about):
        settings = stage.get("settings", {})
        lines.append(f"| {stage.get('system')} | {stage.get('step')} | {settings.get('seed')} | {settings.get('lr')} |")
    lines += ["", f"The last stage took {duration(wall_seconds(read_table(run, 'train')))}, one CPU thread.", ""]
    lines += [f"Pictures: {data}.", ""] if data else []
    rows = read_table(run, "val")
    if rows:
        last = rows[-1]
        levels = [name.partition("@")[2] for name in last if name.startswith("bpp@")]
        lambdas = about.get("widths", {}).get("lambdas", [])
        lines += ["## Validation pictures", "", f"Step {last['step']:.0f}, bits by the model's density.", ""]
        lines += ["| lambda | bits per pixel | PSNR, dB |", "|---|---|---|"]
        for level, value in zip(levels, lambdas, strict=False):
            lines.append(f"| {value:g} | {last[f'bpp@{level}']:.3f} | {last[f'psnr@{level}']:.2f} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(exit_code(lambda: main(parser().parse_args())))
