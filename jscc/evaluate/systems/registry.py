"""Systems by name. A name may also be `package.module:Class`, so a new system needs no change here."""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final, cast

from jscc.evaluate.coding.bpg import bpg_forms
from jscc.evaluate.coding.jpeg2000 import PILLOW_DEFAULTS, Jpeg2000
from jscc.evaluate.coding.ldpc import MODES, Mode
from jscc.evaluate.coding.rate_search import RateSearch
from jscc.evaluate.extras import require
from jscc.evaluate.systems.base import System
from jscc.evaluate.systems.separate import CapacitySystem, LdpcSystem
from wire.runtime.errors import UserError

NEURAL: Final = ("proposed-1", "proposed-2", "proposed-absent", "baseline")
LDPC: Final = ("bpg-ldpc", "jpeg2000-ldpc")
CAPACITY: Final = ("bpg-capacity", "jpeg2000-capacity", "jpeg2000-pillow-capacity")
SIDE_INFORMATION: Final = ("dsin-capacity", "dwsic-capacity")
NAMES: Final = (*NEURAL, *SIDE_INFORMATION, *CAPACITY, *LDPC)
GROUPS: Final = {
    "separate": (*CAPACITY, *LDPC),
    "paper": (*NEURAL, *(f"{name}@small-ms-ssim" for name in NEURAL[:2]), *SIDE_INFORMATION, *CAPACITY, *LDPC),
}
"""Short for several names: all separate schemes; everything that the figures of docs/results.md show."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A system of a run.

    name   of its rows in the table
    build  makes it, in the process that runs it
    """

    name: str
    build: Callable[[], System]


def ungrouped(names: Sequence[str]) -> list[str]:
    """Names as a user gives them, with those that a group is short for in its place; each once."""
    return list(dict.fromkeys(one for given in names for one in GROUPS.get(given, (given,))))


def expand(names: Sequence[str]) -> list[Entry]:
    """Names as a user gives them -> the systems to run; `bpg-ldpc` becomes one system per mode.

    raises  UserError for a name that is not known
    """
    entries: list[Entry] = []
    for name in ungrouped(names):
        if name in LDPC:
            codec = name.removesuffix("-ldpc")
            entries += [Entry(f"{name}-{mode.name}", partial(_ldpc, codec, mode)) for mode in MODES]
        else:
            entries.append(_entry(name))
    return entries


def _entry(name: str) -> Entry:
    base, _, weights = name.partition("@")
    if base in NEURAL:
        return Entry(name, partial(_neural, base, weights or None))
    if name in SIDE_INFORMATION:
        return Entry(name, partial(_side_information, name))
    if name in CAPACITY:
        return Entry(name, partial(_capacity, name.removesuffix("-capacity")))
    if ":" in name:
        return Entry(name, partial(_import, name))
    allowed = ", ".join((*NAMES, *GROUPS, "NAME@WEIGHTS", "package.module:Class"))
    raise UserError(f"unknown system {name!r}; allowed: {allowed}")


def envelope_of(system: str) -> str | None:
    """The name without the mode, "bpg-ldpc" of "bpg-ldpc-qpsk-1/2"; None for a system that has no modes."""
    return next((name for name in LDPC if system.startswith(name + "-")), None)


@lru_cache(maxsize=8)
def search(codec: str) -> RateSearch:
    """One search for all systems of a process that share a codec, so that they share its encodings too.

    codec  "bpg", "jpeg2000" or "jpeg2000-pillow"
    """
    if codec == "bpg":
        return RateSearch(bpg_forms())
    return RateSearch((PILLOW_DEFAULTS if codec == "jpeg2000-pillow" else Jpeg2000(),))


def _capacity(codec: str) -> System:
    return CapacitySystem(search(codec))


def _ldpc(codec: str, mode: Mode) -> System:
    return LdpcSystem(search(codec), mode)


@lru_cache(maxsize=8)
def _neural(name: str, weights: str | None) -> System:
    return cast(System, require("jscc.evaluate.systems.neural", name).NeuralSystem.load(name, weights))


@lru_cache(maxsize=2)
def _side_information(name: str) -> System:
    return cast(System, require("jscc.evaluate.systems.side_information", name).SideInformationSystem.load(name))


def _import(path: str) -> System:
    module, _, attribute = path.partition(":")
    try:
        made = getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError) as error:
        raise UserError(f"cannot load the system {path}: {error}") from None
    return cast(System, made)
