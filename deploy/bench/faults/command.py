"""Faults on purpose: what is shown meanwhile, what is lost, when all is well again.

Each drill starts the whole system on free ports of this machine. Two rigs of drawn scenes carry a mark in every
picture, so that a picture of another rig or another instant cannot pass for what it is shown as. Without a drill: 40
kills.
"""

import argparse
from collections.abc import Callable
from typing import Any

from deploy.bench.arguments import at_least, chart_file, count, output_file, positive
from deploy.bench.faults import disk, floods, idle, kills, memory, reconnects, refused, rolling, soak, weather
from deploy.bench.faults.strike import How
from deploy.bench.result_file import measured_here, store

Drill = tuple[Callable[[argparse.Namespace], dict[str, Any]], Callable[[dict[str, Any]], None]]

DRILLS: dict[str, Drill] = {
    "kills": (lambda given: kills.drill(given.kills, given.seed, _say), kills.report),
    "stops": (lambda given: kills.drill(given.stops, given.seed, _say, (How.STOP,), given.stopped), kills.report),
    "reconnects": (lambda given: reconnects.drill(given.reconnects, _say), reconnects.report),
    "refused": (lambda given: refused.drill(given.refused, given.seed, _say), refused.report),
    "idle": (lambda given: idle.drill(given.idle, given.fps, given.seconds, _say), idle.report),
    "floods": (lambda given: floods.drill(given.floods, given.fps, _say), floods.report),
    "rolling": (lambda given: rolling.drill(given.rolling, given.centers, given.fps, _say), rolling.report),
    "weather": (lambda given: weather.drill(given.weather, _say), weather.report),
    "disk": (lambda given: disk.drill(given.disk, given.fps, given.seconds, _say), disk.report),
    "memory": (lambda given: memory.drill(given.memory, given.seconds, _say), memory.report),
    "soak": (lambda given: soak.drill(given.soak, given.fps, _say, given.chart), soak.report),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    number = parser.add_argument_group("drills, each with how often or how much").add_argument
    number("--kills", type=count, metavar="N", help="kill -9 or SIGTERM of any process at any moment")
    number("--stops", type=count, metavar="N", help="SIGSTOP of any process, SIGCONT after --stopped seconds")
    number("--reconnects", type=count, metavar="N", help="connections that break, on both hops in turn")
    number("--refused", type=count, metavar="N", help="streams that are refused, at each of two doors")
    number("--idle", type=count, metavar="N", help="connections that say nothing, on each of six ports")
    number("--floods", type=positive, metavar="SECONDS", help="floods of HTTP/2 frames at the center, each for so long")
    number("--rolling", type=count, metavar="N", help="restarts of each center, one after the other")
    number("--weather", type=positive, metavar="SECONDS", help="bad networks, each for so long, on both hops")
    number("--disk", type=count, metavar="MB", help="a disk for recordings that becomes full; as root")
    number("--memory", type=count, metavar="MB", help="the worst load within a limit on the center's memory; as root")
    number("--soak", type=at_least(soak.LEAST_MINUTES), metavar="MINUTES", help="a long run: does anything grow?")
    parser.add_argument("--centers", type=count, choices=(1, 2), default=2, help="of rolling; default %(default)s")
    parser.add_argument(
        "--fps",
        type=positive,
        default=5.0,
        help="pairs a second, of idle, floods, rolling, disk and soak; default %(default)s",
    )
    parser.add_argument("--seconds", type=positive, default=60.0, help="of idle, disk and memory; default %(default)s")
    parser.add_argument("--chart", type=chart_file, metavar="FILE", help="of soak, as SVG or PNG; needs matplotlib")
    parser.add_argument("--stopped", type=positive, default=20.0, metavar="S", help="default %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="of what is left to chance; default %(default)s")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="store every figure")


def run(arguments: argparse.Namespace) -> int:
    """Run the drills that are asked for, print their tables; 1 if one found what must not be."""
    if not any(getattr(arguments, name) for name in DRILLS):
        arguments.kills = 40
    results = {}
    for name, (drill, report) in DRILLS.items():
        if getattr(arguments, name):
            results[name] = drill(arguments)
            report(results[name])
    if arguments.json is not None:
        store(arguments.json, measured_here(results))
    return int(any(result["failed"] for result in results.values()))


def _say(line: str) -> None:
    print(line, flush=True)
