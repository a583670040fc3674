"""Rounds of all systems in turns, the bare decoder before and after each load: a busy machine slows all alike.

A system is started for its turn and stopped after it: an idle Ray or Triton would take cores from the others.
"""

import asyncio
import math
import statistics
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.peers import load, ours, process
from benchmarks.peers.load import Answers
from benchmarks.peers.roster import Peer, Setting
from deploy.bench.load.frames import PreparedFrames
from wire.runtime.errors import UserError

SHARES: Final = {"25 %": 0.25, "50 %": 0.5}
"""Offered loads at a beat, as shares of what the bare decoder can."""

SATURATED: Final = "saturated"
IN_TURNS: Final = "in turns"
IN_FLIGHT: Final = 8
"""Pairs on their way to a saturated server; at our center each is of another rig."""

REST_SECONDS: Final = 2.0
"""At most, for what a system takes while nobody asks it: one that polls keeps a core awake."""

BLOCKS: Final = 4
"""Of saturation, each of a quarter of the time, in turns with the decoder alone."""

Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Running:
    """A system that takes load.

    call   as in `load`
    used   CPU seconds of all its processes so far
    alone  instants so far that were decoded with one view only
    """

    call: load.Call
    used: Callable[[], float]
    alone: Callable[[], int] = lambda: 0


@dataclass(frozen=True, slots=True)
class System:
    """One that takes turns. name: in results; title: for people; start: a server of it, warm"""

    name: str
    title: str
    start: Callable[[], AbstractAsyncContextManager[Running]]


def peer_system(
    peer: Peer, python: Path, setting: Setting, codec: str, threads: int, requests: Sequence[bytes], logs: Path
) -> System:
    """A peer with one setting.

    codec     that it decodes: a shipped name, or a folder from the root
    requests  pairs of `work.pack`, encoded with that
    """

    @asynccontextmanager
    async def start() -> AsyncIterator[Running]:
        log = logs / f"{peer.name}.log"
        async with process.serving(peer, python, setting, threads, requests, log, codec) as (caller, used):
            yield Running(caller, used)

    return System(peer.name, f"{peer.title}, {setting}" if setting.batch > 1 else peer.title, start)


def our_system(prepared: PreparedFrames, codec: str, threads: int, logs: Path) -> System:
    """The center as it ships."""

    @asynccontextmanager
    async def start() -> AsyncIterator[Running]:
        async with ours.serving(prepared, codec, threads, IN_FLIGHT, logs) as (caller, used):
            yield Running(caller, used, lambda: caller.alone)

    return System("ours", "**ours**", start)


async def turn(system: System, bare: load.Call, requests: Sequence[bytes], seconds: float) -> Result:
    """One system in every way; what it does is compared with what the decoder alone does in the same way meanwhile.

    requests  pairs of `work.pack`
    seconds   of each load
    raises    process.DidNotStart or UserError
    """
    result: Result = {}
    async with system.start() as running:
        alone, idle, rest = running.alone(), running.used(), min(REST_SECONDS, seconds)
        await asyncio.sleep(rest)
        result["rest_cores"] = (running.used() - idle) / rest
        server, own = await load.in_turns(running.call, bare, requests, max(4, round(5 * seconds)))
        result[IN_TURNS] = {"ms": [each * 1e3 for each in server], "bare_ms": [each * 1e3 for each in own]}
        rate = len(own) / sum(own) if own else 1.0
        for name, share in SHARES.items():
            half = load.SETTLE_SECONDS + seconds / 2
            around = [await load.at_beat(bare, requests, share * rate, half)]
            used = running.used()
            answers = await load.at_beat(running.call, requests, share * rate, load.SETTLE_SECONDS + seconds)
            used = running.used() - used
            around.append(await load.at_beat(bare, requests, share * rate, half))
            result[name] = figures(answers, used) | {"bare_ms": statistics.fmean(each.age_ms(0.5) for each in around)}
        full, spent, bare_full, bare_spent = await load.blocks(
            running.call, bare, requests, IN_FLIGHT, seconds / BLOCKS, BLOCKS
        )
        result[SATURATED] = figures(full, 0.0) | {
            "pairs_per_second": len(full.arrivals) / spent,
            "bare_rate": len(bare_full.arrivals) / bare_spent,
        }
        result["alone"] = running.alone() - alone
    return result


def figures(answers: Answers, used: float) -> Result:
    """What is kept of one load. used: CPU seconds of the server"""
    return {
        "p50_ms": answers.age_ms(0.5),
        "p99_ms": answers.age_ms(0.99),
        "pairs": len(answers.arrivals),
        "cpu_ms_a_pair": used / len(answers.arrivals) * 1e3 if answers.arrivals else math.nan,
        "failed": answers.failed,
        "problem": answers.problem,
    }


async def take_turns(
    systems: Sequence[System],
    bare: load.Call,
    requests: Sequence[bytes],
    rounds: int,
    seconds: float,
    say: Callable[[str], None] = print,
) -> tuple[dict[str, list[Result]], dict[str, str]]:
    """Every system once a round, the first one of a round another each time.

    bare     the decoder alone, of the same codec and threads

    returns  results by system, one a round; and why systems were left out, which one that fails once is from then on
    """
    results: dict[str, list[Result]] = {system.name: [] for system in systems}
    left_out: dict[str, str] = {}
    for number in range(rounds):
        first = number % len(systems)
        for system in [*systems[first:], *systems[:first]]:
            if system.name in left_out:
                continue
            try:
                result = await turn(system, bare, requests, seconds)
            except (process.DidNotStart, UserError) as problem:
                left_out[system.name] = str(problem).replace("\n", " ")
                say(f"{system.title}: left out: {left_out[system.name]}")
                continue
            results[system.name].append(result)
            both, full = result[IN_TURNS], result[SATURATED]
            over = [server - own for server, own in zip(both["ms"], both["bare_ms"], strict=True)]
            say(
                f"round {number + 1}, {system.title}: {statistics.median(over or [math.nan]):.1f} ms beyond the decoder"
                f" in turns, {result['50 %']['cpu_ms_a_pair']:.0f} ms of CPU a pair;"
                f" {full['pairs_per_second'] / full['bare_rate']:.2f} of its rate at most"
            )
    return results, left_out
