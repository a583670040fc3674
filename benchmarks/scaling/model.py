"""The cost model: what each tier needs for so many rigs, from the measured cost of a picture or pair. Pure."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from wire.geometry import CHANNELS, HEIGHT, SYMBOLS, WIDTH

MEASURED: Final = Path(__file__).with_name("measured.json")

HEADROOM: Final = 0.7
"""How full a tier is planned: bursts, and the fullest of several centers, need the rest."""

LINK_BYTES: Final = 1.25e9 * HEADROOM
"""What a network card of 10 Gbit/s carries in one direction, planned likewise; bytes a second."""

SYMBOLS_F16, SYMBOLS_F32, PICTURE = SYMBOLS * 2 * 2, SYMBOLS * 2 * 4, HEIGHT * WIDTH * CHANNELS
"""Bytes of one view: symbols from an edge, symbols from the emulator, a picture to a watcher."""


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU seconds on one core of the machine that measured them.

    encode, uplink  of a picture at the edge
    emulator        of a frame
    front           of a pair at the center, without decoder and watchers
    watcher         more, of a pair that one program watches with its pictures
    engine          of a pair, one at a time on one core: on a CPU a batch costs as much for each of its pairs
    idle_rig        bytes that a connected rig holds at the center
    """

    encode: float
    uplink: float
    emulator: float
    front: float
    watcher: float
    engine: float
    idle_rig: float

    @staticmethod
    def read(path: Path = MEASURED, kind: str = "onnxruntime-i8", link: str = "awgn") -> "Costs":
        """What `benchmarks.scaling.measure` stored. kind: of the engine; link: awgn or rayleigh"""
        told: dict[str, Any] = json.loads(path.read_text())["costs"]
        return Costs(
            encode=told["encode_s"],
            uplink=told["uplink_s"],
            emulator=told["emulator_s"][link],
            front=told["front_s"],
            watcher=told["watcher_s"],
            engine=told["engine_s"][kind],
            idle_rig=told["idle_rig_bytes"],
        )


@dataclass(frozen=True, slots=True)
class Tiers:
    """What stands around one front, which is a process whose Python runs on one core.

    emulators  processes of one core
    engines    cores that decode
    """

    emulators: int
    engines: int


@dataclass(frozen=True, slots=True)
class Plan:
    """So many centers, all alike. rate: pairs a second of each rig"""

    rigs: int
    rate: float
    centers: int
    each: Tiers

    @property
    def rigs_each(self) -> float:
        return self.rigs / self.centers

    @property
    def cores(self) -> int:
        """At the center's side, emulators included: these stand for radios."""
        return self.centers * (1 + self.each.emulators + self.each.engines)


def cores(costs: Costs, pairs: float, watched: float = 0.0) -> dict[str, float]:
    """Cores that are busy at `pairs` a second, by tier. watched: share of pairs that a program watches"""
    return {
        "edge": 2 * pairs * (costs.encode + costs.uplink),
        "emulator": 2 * pairs * costs.emulator,
        "front": pairs * (costs.front + watched * costs.watcher),
        "engine": pairs * costs.engine,
    }


def saturates(costs: Costs, watched: float = 0.0) -> dict[str, float]:
    """Pairs a second at which one process of a tier, one core of engines, or one network card, is full."""
    busy = cores(costs, 1.0, watched)
    network = bytes_a_pair(watched)
    return {
        "engine (a core)": 1.0 / busy["engine"],
        "front (a process)": 1.0 / busy["front"],
        "emulator (a process)": 1.0 / busy["emulator"],
        "card of 10 Gbit/s": 1.25e9 / max(network.values()),
    }


def bytes_a_pair(watched: float = 0.0) -> dict[str, float]:
    """Bytes of one pair at the center, in and out, behind an emulator. watched: programs that watch each pair"""
    return {"in": 2.0 * SYMBOLS_F32, "out": 2.0 * PICTURE * watched}


def plan(costs: Costs, rigs: int, rate: float, watched: float = 0.0) -> Plan:
    """Enough of each tier, planned to HEADROOM.

    rate     pairs a second of each rig
    watched  programs that watch each pair with its pictures
    """
    busy = cores(costs, rigs * rate, watched)
    network = max(bytes_a_pair(watched).values()) * rigs * rate / LINK_BYTES
    centers = max(1, math.ceil(max(busy["front"] / HEADROOM, network)))
    each = {tier: max(1, math.ceil(busy[tier] / HEADROOM / centers)) for tier in ("emulator", "engine")}
    return Plan(rigs, rate, centers, Tiers(each["emulator"], each["engine"]))
