"""One fault of one process: it is killed, told to stop or frozen; what is shown meanwhile, and when all is well."""

import os
import signal
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from deploy.bench.faults.marked import missed
from deploy.bench.watch import PairWatcher, Sighting
from deploy.local.stack import Stack
from wire.runtime.errors import UserError

LIMIT_SECONDS: Final = 5.0
"""In which both views of every rig are to be back."""

OLD_SECONDS: Final = 2.0
"""A picture that is older when it is first shown is one of before the fault: centers and edges drop what is a second
old, and a machine with other work may take another."""

EXIT_SECONDS: Final = 12.0


class How(StrEnum):
    """What is done to the process."""

    KILL = "kill -9"
    TERM = "SIGTERM"
    STOP = "SIGSTOP"


@dataclass(frozen=True, slots=True)
class Strike:
    """What came of one fault.

    name     of the process
    down     seconds that it was left down
    back     seconds from its return until every rig showed both views of a new instant
    gone     seconds that it took to end, of SIGTERM
    lost     by rig: instants without a pair, from the fault until all was well
    singles  pictures that were decoded alone meanwhile
    old      pictures that were too old when they were first shown
    died     other processes that ended too
    """

    name: str
    how: How
    down: float
    back: float
    gone: float
    lost: dict[str, int]
    singles: int
    old: int
    died: int

    @property
    def good(self) -> bool:
        """Whether all was well in time, and nothing else suffered."""
        return self.back <= LIMIT_SECONDS and self.died == 0 and self.old == 0


def strike(
    stack: Stack, watcher: PairWatcher, name: str, how: How, down: float, rigs: tuple[str, ...], fps: float
) -> Strike:
    """Do it, leave the process down for `down` seconds, bring it back, and wait for both views of every rig.

    raises  UserError if they have not come back after four times the limit
    """
    victim = stack.process(name)
    others = {process.name: process.pid for process in stack.processes if process is not victim}
    assert victim.pid is not None
    began, began_ns = time.monotonic(), time.time_ns()
    gone = 0.0
    if how is How.TERM:
        gone = victim.stop_within(EXIT_SECONDS)
    else:
        os.kill(victim.pid, signal.SIGKILL if how is How.KILL else signal.SIGSTOP)
    time.sleep(down)
    if how is How.STOP:
        os.kill(victim.pid, signal.SIGCONT)
    else:
        victim.restart()
    returned, returned_ns = time.monotonic(), time.time_ns()
    for rig in rigs:
        if watcher.wait_for_pair(returned_ns, returned + 4 * LIMIT_SECONDS - time.monotonic(), rig) is None:
            line = f"{name}, {how}: no pair of {rig} after {4 * LIMIT_SECONDS:.0f} s"
            raise UserError("\n".join([line, *victim.last_words()]))
    seen = watcher.since(began)
    first = [
        min(each.at for each in seen if each.rig == rig and each.paired and each.captured_at_ns > returned_ns)
        for rig in rigs
    ]
    healthy_ns = time.time_ns()
    seen = settled(watcher, began, rigs, healthy_ns)
    return Strike(
        name=name,
        how=how,
        down=down,
        back=max(first) - returned,
        gone=gone,
        lost={rig: missed(seen, rig, fps, began_ns, healthy_ns) for rig in rigs},
        singles=sum(not each.paired for each in seen),
        old=sum(each.age > OLD_SECONDS and not each.psnr_db for each in seen),
        died=sum(p.exit_code() is not None or p.pid != others[p.name] for p in stack.processes if p is not victim),
    )


def settled(watcher: PairWatcher, began: float, rigs: tuple[str, ...], until_ns: int) -> list[Sighting]:
    """What was seen since `began`, once a pair of each rig captured after a Unix time is among it."""
    for rig in rigs:
        watcher.wait_for_pair(until_ns, LIMIT_SECONDS, rig)
    return watcher.since(began)
