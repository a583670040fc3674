"""`python -m jscc.evaluate`: measure, then write the table, the figures and the gallery."""

import argparse
import math
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import cv2
import torch

from jscc.cli import exit_code
from jscc.evaluate.report.page import write_report
from jscc.evaluate.rows import Row
from jscc.evaluate.session import DELTAS, Request, read_scenes, run_session
from jscc.evaluate.systems.base import CHANNELS, Channel, Pair
from jscc.evaluate.systems.registry import GROUPS, LDPC, NAMES, NEURAL, SIDE_INFORMATION, expand, ungrouped
from wire.geometry import DEFAULT_SIZE, PictureSize
from wire.runtime.errors import UserError

SYSTEMS_HELP = f"of {', '.join((*NAMES, *GROUPS))}, NAME@WEIGHTS, module:Class"
DEFAULT_SYSTEMS = (*NEURAL, *SIDE_INFORMATION, "bpg-capacity", "jpeg2000-capacity", *LDPC)
"""At another size than the default one without those that know no other."""


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser("python -m jscc.evaluate", description="Every system of the paper, side by side.")
    add = made.add_argument
    add("--pairs", type=Path, required=True, metavar="FOLDER", help="left/NAME.png and right/NAME.png")
    add("--out", type=Path, required=True, metavar="DIR", help="table, figures; run again with the same to go on")
    add(
        "--systems",
        metavar="A,B",
        help=f"{SYSTEMS_HELP} (default: {','.join(DEFAULT_SYSTEMS)})",
    )
    add("--channel", default="awgn", metavar="A,B", help="awgn, rayleigh or both (default: awgn)")
    add("--snr", default="-2:12:2", metavar="FIRST:LAST:STEP", help="Es/N0 in dB, or a list such as 1,4,13")
    add("--deltas", metavar="A,B", help="of 0,5,10: SNR of the other link minus the own, dB (proposed-1)")
    add("--limit", type=int, metavar="N", help="take N pairs, evenly spread")
    add("--size", type=_size, default=DEFAULT_SIZE, metavar="RxC", help="of the pictures (default: %(default)s)")
    add("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (default: one for each core)")
    add("--seed", type=int, default=0, help="of the noise (default: 0)")
    add("--redo", metavar="A,B", help="of --systems: measure what this command asks for anew, such as after training")
    add("--show", metavar="NAME", help="the pair of the gallery (default: the first)")
    add("--show-snr", type=float, default=1.0, metavar="DB", help="SNR of the gallery (default: 1)")
    return made


def _size(text: str) -> PictureSize:
    try:
        return PictureSize.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def numbers(text: str, option: str) -> list[float]:
    """ "-2:12:2" or "1,4,13" -> numbers, both ends included.

    raises  UserError
    """
    try:
        parts = [float(part) for part in text.replace(":", ",").split(",")]
        if not all(math.isfinite(part) for part in parts):
            raise ValueError
        if ":" not in text:
            return list(dict.fromkeys(parts))
        first, last, step = parts
        count = int((last - first) / step + 1e-9) + 1
        if not 1 <= count <= 1000:
            raise ValueError
        return [first + i * step for i in range(count)]
    except (ValueError, ZeroDivisionError):
        raise UserError(
            f"{option} is {text!r}; give FIRST:LAST:STEP such as -2:12:2, or a list such as 1,4,13"
        ) from None


def evaluate(arguments: argparse.Namespace, command: str) -> list[Row]:
    """Do what the command line says; returns all rows."""
    channels = arguments.channel.split(",")
    for channel in channels:
        if channel not in CHANNELS:
            raise UserError(f"unknown channel {channel!r}; allowed: {', '.join(CHANNELS)}")
    for option, least in (("jobs", 1), ("limit", 1), ("seed", 0)):
        given = getattr(arguments, option)
        if given is not None and given < least:
            raise UserError(f"--{option} is {given}; it must be at least {least}")
    if not math.isfinite(arguments.show_snr):
        raise UserError(f"--show-snr is {arguments.show_snr}; give a finite number of dB")
    names = systems_at(arguments.size, arguments.systems)
    request = Request(
        systems=names,
        channels=cast(list[Channel], channels),
        snrs=numbers(arguments.snr, "--snr"),
        deltas=_deltas(arguments.deltas, names),
        seed=arguments.seed,
        jobs=arguments.jobs,
        redo=arguments.redo.split(",") if arguments.redo else (),
    )
    expand([*names, *request.redo])  # a wrong name is said before the pictures are read
    pairs = read_scenes(arguments.pairs, arguments.limit, arguments.size)
    shown = _shown(pairs, arguments.show)
    rows = run_session(pairs, request, arguments.out)
    write_report(rows, arguments.out, request, shown, arguments.show_snr, command)
    print(f"wrote {arguments.out / 'results.csv'}, results.md, claims.md, figures and a gallery")
    return rows


def systems_at(size: PictureSize, asked: str | None) -> list[str]:
    """The systems of a run, from --systems or by default. Those of the default and of groups that know no other size
    than 128x256 stay out at another one, and that is said.

    raises  UserError if such a system is asked for by its name
    """
    names = list(DEFAULT_SYSTEMS) if asked is None else asked.split(",")
    if size == DEFAULT_SIZE:
        return names
    if asked is not None and (named := [name for name in names if name in SIDE_INFORMATION]):
        raise UserError(f"DSIN and DWSIC know pictures of {DEFAULT_SIZE} only; leave out {', '.join(named)}, or --size")
    every = ungrouped(names)
    left = [name for name in every if name not in SIDE_INFORMATION]
    if left != every:
        print(f"{', '.join(SIDE_INFORMATION)} left out: they know pictures of {DEFAULT_SIZE} only")
    return left


def _deltas(text: str | None, names: Sequence[str]) -> list[float]:
    """raises UserError for a delta that no system measures: what was asked for would silently be left out"""
    deltas = list(DELTAS) if text is None else numbers(text, "--deltas")
    strange = [delta for delta in deltas if delta not in DELTAS]
    if strange and not any(":" in name for name in names):
        raise UserError(f"--deltas has {strange[0]:g}; allowed: {', '.join(f'{delta:g}' for delta in DELTAS)}")
    return deltas


def _shown(pairs: Sequence[Pair], name: str | None) -> Pair:
    if name is None:
        return pairs[0]
    for pair in pairs:
        if pair.name == name:
            return pair
    raise UserError(f"--show {name}: there is no such pair; the first is {pairs[0].name}")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0, 2 for what the user can mend, 130 when stopped."""
    given = list(sys.argv[1:] if argv is None else argv)
    for i, word in enumerate(given[:-1]):
        if word in ("--snr", "--deltas", "--show-snr") and given[i + 1].startswith("-"):
            given[i : i + 2] = [f"{word}={given[i + 1]}", ""]  # argparse would take -2:12:2 for an option
    arguments = parser().parse_args([word for word in given if word])
    cv2.setNumThreads(0)
    torch.set_num_threads(1)  # on a busy machine two threads of one decoder wait for each other ten times longer
    return exit_code(lambda: evaluate(arguments, f"python -m jscc.evaluate {' '.join(word for word in given if word)}"))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # else the processes that measure outlive this one
    sys.exit(main())
