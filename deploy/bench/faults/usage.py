"""What processes hold, memory, open files, threads, and whether that grows; how busy the machine is."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from deploy.bench.live import resident
from deploy.local.stack import Stack

MOST_GROWTH: Final = 20 * 2**20
"""Bytes by which a process may have grown after thousands of connections."""

_BLOCKS: Final = 12
_STUDENT_95: Final = 2.228
"""The 0.975 quantile of Student's t with 10 degrees of freedom: 12 blocks less two parameters."""


@dataclass(frozen=True, slots=True)
class Holding:
    """Of one process at one moment. rss: bytes."""

    rss: int
    files: int
    threads: int

    @staticmethod
    def of(pid: int) -> "Holding":
        """raises OSError if there is no such process"""
        return Holding(resident(pid), len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task")))


def holdings(stack: Stack) -> dict[str, Holding]:
    """By the name of the process."""
    return {process.name: Holding.of(process.pid) for process in stack.processes if process.pid is not None}


def growth(before: dict[str, Holding], after: dict[str, Holding]) -> dict[str, Holding]:
    """By the name of the process; below 0 is less."""
    return {
        name: Holding(now.rss - then.rss, now.files - then.files, now.threads - then.threads)
        for name, now in after.items()
        for then in [before[name]]
    }


@dataclass(frozen=True, slots=True)
class Cores:
    """What all cores of this machine have done since it was started, in ticks of the kernel."""

    worked: int
    rested: int

    @staticmethod
    def now() -> "Cores":
        """Time that a host kept for itself counts as work: nobody here could have it. That of programs with a nice
        value above 0 counts as rest: they are to give way."""
        user, nice, system, idle, disks, *kept = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9])
        return Cores(user + system + sum(kept), nice + idle + disks)

    def busy_since(self, then: "Cores") -> float:
        """The share of all cores that worked meanwhile."""
        worked, rested = self.worked - then.worked, self.rested - then.rested
        return worked / max(worked + rested, 1)


def report_growth(grown: dict[str, Any]) -> None:
    """Print a row for each process. grown: `growth` as dictionaries"""
    print("\n| process | memory | open files | threads |")
    print("|---|---|---|---|")
    for name, held in grown.items():
        print(f"| {name} | {held['rss'] / 2**20:+.1f} MB | {held['files']:+d} | {held['threads']:+d} |")


@dataclass(frozen=True, slots=True)
class Slope:
    """A straight line through what was measured. per_hour, and the half width of its 95 % interval."""

    per_hour: float
    uncertain: float

    @staticmethod
    def through(seconds: Sequence[float], values: Sequence[float]) -> "Slope":
        """Least squares over the means of 12 equal spans: samples that follow each other closely resemble each
        other, and would make the interval far too narrow.

        raises  ValueError for fewer samples than spans
        """
        if len(values) < _BLOCKS:
            raise ValueError(f"{len(values)} samples are too few for {_BLOCKS} spans")
        x = np.array([part.mean() for part in np.array_split(np.asarray(seconds, float) / 3600, _BLOCKS)])
        y = np.array([part.mean() for part in np.array_split(np.asarray(values, float), _BLOCKS)])
        spread = float(((x - x.mean()) ** 2).sum())
        slope = float(((x - x.mean()) * (y - y.mean())).sum()) / spread
        rest = y - y.mean() - slope * (x - x.mean())
        error = float(np.sqrt((rest**2).sum() / (_BLOCKS - 2) / spread))
        return Slope(slope, _STUDENT_95 * error)
