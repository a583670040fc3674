"""Kills at random moments, of random processes, under the eyes of a witness."""

import dataclasses
import random
import time
from collections.abc import Callable
from typing import Any, Final

from deploy.bench.faults.marked import RIGS, Witness, environment
from deploy.bench.faults.strike import LIMIT_SECONDS, How, Strike, strike
from deploy.bench.watch import PairWatcher
from deploy.local.stack import Ports, running
from wire.runtime.errors import UserError

FPS: Final = 2.0
LONGEST_DOWN: Final = 1.0
LONGEST_PEACE: Final = 1.0
"""Seconds between a return and the next kill, at most."""


def drill(
    kills: int, seed: int, say: Callable[[str], None], hows: tuple[How, ...] = (How.KILL, How.TERM), down: float = 0.0
) -> dict[str, Any]:
    """Strike `kills` times; two rigs of two cameras, one emulator and one center are there.

    seed  of processes, moments and durations
    down  seconds that a process is left down; 0 draws them
    """
    fates, witness = random.Random(seed), Witness(FPS)
    strikes: list[Strike] = []
    lost_for_good: list[str] = []
    with running(Ports.free(), say, environment(FPS), more_rigs=RIGS[1:]) as stack:
        watcher = PairWatcher(f"{stack.ports.host}:{stack.ports.center}", witness.look)
        try:
            for number in range(1, kills + 1):
                name = fates.choice([process.name for process in stack.processes])
                time.sleep(fates.uniform(0.0, LONGEST_PEACE))
                try:
                    done = strike(
                        stack, watcher, name, fates.choice(hows), down or fates.uniform(0.05, LONGEST_DOWN), RIGS, FPS
                    )
                except UserError as problem:
                    lost_for_good.append(str(problem))
                    say(f"{number}: {problem}")
                    stack.revive(say)
                    continue
                strikes.append(done)
                say(f"{number}: {done.name} {done.how}, back after {done.back:.2f} s, lost {done.lost}")
        finally:
            watcher.close()
    return {
        "seed": seed,
        "fps": FPS,
        "kills": kills,
        "not_back": lost_for_good,
        "pictures": witness.shown,
        "unreadable": witness.unreadable,
        "wrong": witness.wrong,
        "strikes": [dataclasses.asdict(each) for each in strikes],
        "failed": len(lost_for_good) + sum(not each.good for each in strikes) + len(witness.wrong),
    }


def report(result: dict[str, Any]) -> None:
    """Print the table."""
    strikes = [Strike(**each) for each in result["strikes"]]
    print(
        "\n| process | fault | times | back after, median | worst | instants lost, mean | alone | old | others died |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for kind, how in dict.fromkeys((kind_of(each.name), each.how) for each in strikes):
        of = sorted((s for s in strikes if (kind_of(s.name), s.how) == (kind, how)), key=lambda each: each.back)
        lost = sum(sum(each.lost.values()) for each in of) / len(of)
        print(
            f"| {kind} | {how} | {len(of)} | {of[len(of) // 2].back:.2f} s | {of[-1].back:.2f} s | {lost:.1f}"
            f" | {sum(s.singles for s in of)} | {sum(s.old for s in of)} | {sum(s.died for s in of)} |"
        )
    late = sum(each.back > LIMIT_SECONDS for each in strikes) + len(result["not_back"])
    ended = [each.gone for each in strikes if each.how == How.TERM]
    if ended:
        print(f"\nSIGTERM: ended after {sorted(ended)[len(ended) // 2]:.2f} s, at most {max(ended):.2f} s")
    print(
        f"\n{result['kills']} faults (seed {result['seed']}), {late} not back within {LIMIT_SECONDS:.0f} s;"
        f" {result['pictures']} pictures checked, {len(result['wrong'])} wrong, {result['unreadable']} unreadable"
    )
    for line in result["wrong"][:5]:
        print(f"wrong: {line}")


def kind_of(name: str) -> str:
    """edge-left@other is an edge."""
    return name.partition("-")[0]
