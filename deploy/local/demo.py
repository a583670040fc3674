"""`vergence demo`: the whole system on one machine, until Ctrl-C."""

import argparse
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from deploy.local.stack import Ports, Stack
from wire.geometry import PictureSize
from wire.runtime.errors import UserError, not_installed

CLIP_SIZE: Final = PictureSize(256, 512)
"""Of the pictures in deploy/local/footage."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, metavar="S", help="stop by itself after this time")
    parser.add_argument("--synthetic", action="store_true", help="a drawn scene that moves instead of the KITTI clip")
    parser.add_argument(
        "--size", metavar="RxC", help="rows x columns of the pictures, such as 256x512 (default: those of edge.yaml)"
    )
    parser.add_argument("--secure", action="store_true", help="mutual TLS and tokens on every hop")
    parser.add_argument("--page-port", type=int, default=Ports().page, metavar="PORT", help="default %(default)s")
    parser.add_argument("--free-ports", action="store_true", help="take whatever ports are free, the page's too")


def run(arguments: argparse.Namespace) -> int:
    """Start everything, print the page's address, keep it alive, stop everything."""
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)  # a script's `make demo &` would have it ignored
    extra = _extra(arguments)
    logs = Path(tempfile.mkdtemp(prefix="vergence-demo-"))
    ports = Ports.free() if arguments.free_ports else Ports(page=arguments.page_port)
    certs = temporary_certs(logs) if arguments.secure else None
    if certs is not None:
        _say(f"mutual TLS and tokens, which are in {certs}; log in at the page with what {certs}/operator/token holds")
    stack = Stack(ports, logs, extra, certs)
    try:
        stack.start(_say)
        _say(f"open {stack.ports.page_url} and drag a slider; Ctrl-C stops everything (logs: {logs})")
        _watch(stack, arguments.seconds)
    except KeyboardInterrupt:
        print()
    except UserError as problem:
        if all(each == certs for each in logs.iterdir()):  # nothing was started: there is nothing to read
            shutil.rmtree(logs)
            raise
        raise UserError(f"{problem}\nthe logs are in {logs}") from None
    finally:
        # A second Ctrl-C would leave services behind.
        before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        _say("stopping")
        stack.stop()
        if certs is not None:  # keys are not logs: nobody needs them any more
            shutil.rmtree(certs, ignore_errors=True)
        for number, handler in before.items():  # what is started later would inherit that it ignores them
            signal.signal(number, handler)
    _say("stopped; nothing is left running")
    return 0


def _extra(arguments: argparse.Namespace) -> dict[str, str]:
    """What the arguments change for the services. raises UserError as `of_size`"""
    extra = {"VERGENCE_EDGE__CAMERA": "{kind: synthetic, fps: 10}"} if arguments.synthetic else {}
    return {**extra, **of_size(arguments.size, None if arguments.synthetic else CLIP_SIZE)}


def of_size(text: str | None, largest: PictureSize | None = CLIP_SIZE) -> dict[str, str]:
    """The environment in which edges send pictures of another size.

    text     rows x columns, as --size has it; None for what edge.yaml says
    largest  of the pictures that there are; None for any
    raises   UserError if the text is no size, or none that is to be had
    """
    return {} if text is None else {"VERGENCE_EDGE__SIZE": str(to_be_had(text, largest))}


def to_be_had(text: str, largest: PictureSize | None = CLIP_SIZE) -> PictureSize:
    """The size that --size asks for. largest, raises: as of `of_size`"""
    try:
        size = PictureSize.parse(text)
    except ValueError as problem:
        raise UserError(f"--size: {problem}") from None
    if largest is not None and not size.fits_in(largest):
        raise UserError(f"--size {size}: the clip has pictures of {largest}; demo --synthetic draws any size")
    return size


def temporary_certs(folder: Path, rigs: Sequence[str] = ()) -> Path:
    """Certificates and tokens that last as long as a demo, or a benchmark. raises UserError if the library is away"""
    try:
        from deploy.local import certs
    except ModuleNotFoundError as error:
        raise not_installed(error.name, "certs") from error
    certs.make(folder / "certs", rigs=rigs, days=30.0)
    return folder / "certs"


def _watch(stack: Stack, seconds: float | None) -> None:
    """A line every ten seconds, and a hand for whatever dies, until time is up."""
    began = told = time.monotonic()
    pairs = stack.pairs_seen()
    while seconds is None or time.monotonic() - began < seconds:
        time.sleep(0.5)
        stack.revive(_say)
        if time.monotonic() - told >= 10.0:
            now, seen = time.monotonic(), stack.pairs_seen()
            _say(f"{max(0.0, seen - pairs) / (now - told):.1f} pairs/s")
            told, pairs = now, seen


def _say(line: str) -> None:
    print(f"vergence demo: {line}", flush=True)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
