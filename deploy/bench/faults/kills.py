"""Kill and restart each process in turn and time the return of the picture: `vergence bench faults`."""

import argparse
import os
import signal
import time
from dataclasses import dataclass
from typing import Final

from deploy.bench.watch import PairWatcher
from deploy.local.stack import Ports, Stack, running
from wire.runtime.errors import UserError

LIMIT_SECONDS: Final = 5.0
DOWN_SECONDS: Final = 0.5
SETTLE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill. back: seconds from the restart until both views of a new instant; singles: decoded alone meanwhile."""

    name: str
    back: float
    singles: int
    bystanders_died: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=10, help="kills of each process (default %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Print a row for each process; 1 if any return took longer than 5 s or a bystander died."""
    with running(Ports.free(), print) as stack:
        watcher = PairWatcher(f"{stack.ports.host}:{stack.ports.center}")
        try:
            kills = [kill(stack, watcher, p.name) for _ in range(arguments.rounds) for p in stack.processes]
        finally:
            watcher.close()
    print("\n| killed | times | back after, median | worst | decoded alone meanwhile | others that died |")
    print("|---|---|---|---|---|---|")
    for name in dict.fromkeys(each.name for each in kills):
        of = sorted((each for each in kills if each.name == name), key=lambda each: each.back)
        singles = sum(each.singles for each in of)
        died = sum(each.bystanders_died for each in of)
        print(f"| {name} | {len(of)} | {of[len(of) // 2].back:.2f} s | {of[-1].back:.2f} s | {singles} | {died} |")
    failed = [each for each in kills if each.back > LIMIT_SECONDS or each.bystanders_died]
    print(f"\n{len(kills)} kills, {len(failed)} not back within {LIMIT_SECONDS:.0f} s or with company")
    return 1 if failed else 0


def kill(stack: Stack, watcher: PairWatcher, name: str) -> Kill:
    """SIGKILL one process, leave it down for half a second, start it again, wait for both views.

    raises  UserError if the picture has not come back after four times the limit
    """
    victim = stack.process(name)
    bystanders = {process.name: process.pid for process in stack.processes if process is not victim}
    assert victim.pid is not None
    killed = time.monotonic()
    os.kill(victim.pid, signal.SIGKILL)
    time.sleep(DOWN_SECONDS)
    victim.restart()
    back = watcher.wait_for_pair(time.time_ns(), timeout=4 * LIMIT_SECONDS)
    if back is None:
        raise UserError("\n".join([f"{name} killed: no pair after {4 * LIMIT_SECONDS:.0f} s", *victim.last_words()]))
    singles = sum(not sighting.paired for sighting in watcher.since(killed))
    died = sum(p.exit_code() is not None or p.pid != bystanders[p.name] for p in stack.processes if p is not victim)
    time.sleep(SETTLE_SECONDS)
    return Kill(name, back, singles, died)
