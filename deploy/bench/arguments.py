"""Types of a benchmark's arguments: what makes no sense is refused when it is typed, not after the minutes it takes."""

import argparse
import math
import os
from collections.abc import Callable
from pathlib import Path

from jscc.evaluate.extras import require
from wire.runtime.errors import UserError


def count(text: str) -> int:
    """A whole number from 1 on."""
    return int(_checked(text, int, 1, "a whole number from 1 on"))


def natural(text: str) -> int:
    """A whole number from 0 on."""
    return int(_checked(text, int, 0, "a whole number from 0 on"))


def positive(text: str) -> float:
    """A number above 0, and finite."""
    return _checked(text, float, math.nextafter(0, 1), "a number above 0")


def at_least(least: float) -> Callable[[str], float]:
    """The type of finite numbers from `least` on."""
    return lambda text: _checked(text, float, least, f"a number from {least:g} on")


def output_file(text: str) -> Path:
    """Where a file can be written, over an old one if there is one."""
    path = Path(text)
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path.parent}; make it first")
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{path} is a folder; name a file")
    if not os.access(path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{path.parent} cannot be written to; name another folder")
    return path


def chart_file(text: str) -> Path:
    """The same, for a picture of a kind that matplotlib writes."""
    path = output_file(text)
    if path.suffix.lower() not in {".svg", ".png", ".pdf"}:
        raise argparse.ArgumentTypeError(f"{path} is no chart; end its name in .svg, .png or .pdf")
    try:
        require("matplotlib", "drawing the chart")
    except UserError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None
    return path


def _checked(text: str, kind: type[int] | type[float], least: float, wanted: str) -> float:
    try:
        number = kind(text)
    except ValueError:
        number = math.nan
    if not least <= number < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is not {wanted}")
    return number
