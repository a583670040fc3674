"""Rounds of all systems in turns, each beside the bare decoder, so that a busy machine slows all alike.

A system is started for its turn and stopped after it: an idle Ray or Triton would take cores from the others.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from benchmarks.peers import load, ours, process
from benchmarks.peers.load import Answers
from benchmarks.peers.roster import Peer, Setting
from deploy.bench.load.bare import BareEngine
from deploy.bench.load.frames import PreparedFrames
from wire.runtime.errors import UserError

SHARES: Final = {"25 %": 0.25, "50 %": 0.5}
"""Offered loads at a beat, as shares of what the bare decoder can."""

SATURATED: Final = "saturated"
IN_FLIGHT: Final = 8
"""Pairs on their way to a saturated peer; as many rigs send to our center, together more than it can decode."""

_OVERLOAD: Final = 1.3
Result = dict[str, Any]


class Running(Protocol):
    """A system that takes load."""

    async def at_beat(self, rate: float, seconds: float) -> tuple[Answers, int]:
        """returns  what came back, and how many instants were decoded with one view only"""
        ...

    async def saturated(self, bare_rate: float, seconds: float) -> tuple[Answers, int]: ...


@dataclass(frozen=True, slots=True)
class System:
    """One that takes turns. name: in results; title, setting: for people; start: a server of it, warm"""

    name: str
    title: str
    setting: str
    start: Callable[[], AbstractAsyncContextManager[Running]]


@dataclass(frozen=True, slots=True)
class _RunningPeer:
    call: load.Call
    requests: Sequence[bytes]

    async def at_beat(self, rate: float, seconds: float) -> tuple[Answers, int]:
        return await load.at_beat(self.call, self.requests, rate, seconds), 0

    async def saturated(self, bare_rate: float, seconds: float) -> tuple[Answers, int]:
        return await load.saturated(self.call, self.requests, IN_FLIGHT, seconds), 0


@dataclass(frozen=True, slots=True)
class _RunningOurs:
    center: ours.Ours

    async def at_beat(self, rate: float, seconds: float) -> tuple[Answers, int]:
        return await self.center.load(1, rate, seconds)

    async def saturated(self, bare_rate: float, seconds: float) -> tuple[Answers, int]:
        return await self.center.load(IN_FLIGHT, _OVERLOAD * bare_rate, seconds)


def peer_system(
    peer: Peer, python: Path, setting: Setting, threads: int, requests: Sequence[bytes], logs: Path
) -> System:
    """A peer with one setting. requests: pairs of `work.pack`"""

    @asynccontextmanager
    async def start() -> AsyncIterator[Running]:
        log = logs / f"{peer.name}.log"
        async with process.serving(peer, python, setting, threads, requests, log) as caller:
            yield _RunningPeer(caller, requests)

    return System(peer.name, peer.title, str(setting), start)


def our_system(prepared: PreparedFrames, codec: str, threads: int, logs: Path) -> System:
    """The center as it ships."""

    @asynccontextmanager
    async def start() -> AsyncIterator[Running]:
        async with ours.serving(prepared, codec, threads, IN_FLIGHT, logs) as center:
            yield _RunningOurs(center)

    return System("ours", "**ours**", "as shipped", start)


async def turn(system: System, bare: BareEngine, seconds: float) -> Result:
    """One system under every load.

    bare     the decoder alone, timed just before
    seconds  of each load
    raises   process.DidNotStart or UserError
    """
    rate = bare.pairs_per_second
    loads: Result = {}
    async with system.start() as running:
        for name, share in SHARES.items():
            loads[name] = figures(*await running.at_beat(share * rate, seconds), seconds)
        loads[SATURATED] = figures(*await running.saturated(rate, seconds), seconds)
    return {"bare_ms": bare.seconds[1] * 1e3, "bare_rate": rate, "loads": loads}


def figures(answers: Answers, alone: int, seconds: float) -> Result:
    """What is kept of one load. alone: instants decoded with one view only, which make no pair"""
    paired = 1.0 - alone / len(answers.arrivals) if answers.arrivals else 0.0
    return {
        "p50_ms": answers.age_ms(0.5),
        "p99_ms": answers.age_ms(0.99),
        "pairs_per_second": answers.rate(seconds) * paired,
        "pairs": len(answers.arrivals),
        "alone": alone,
        "failed": answers.failed,
        "problem": answers.problem,
    }


async def take_turns(
    systems: Sequence[System],
    measure_bare: Callable[[], Awaitable[BareEngine]],
    rounds: int,
    seconds: float,
    say: Callable[[str], None] = print,
) -> tuple[dict[str, list[Result]], dict[str, str]]:
    """Every system once a round, the first one of a round another each time.

    returns  results by system, one a round; and why systems were left out, which one that fails once is from then on
    """
    results: dict[str, list[Result]] = {system.name: [] for system in systems}
    left_out: dict[str, str] = {}
    for number in range(rounds):
        first = number % len(systems)
        for system in [*systems[first:], *systems[:first]]:
            if system.name in left_out:
                continue
            bare = await measure_bare()
            try:
                result = await turn(system, bare, seconds)
            except (process.DidNotStart, UserError) as problem:
                left_out[system.name] = str(problem).replace("\n", " ")
                say(f"{system.title}: left out: {left_out[system.name]}")
                continue
            results[system.name].append(result)
            half, full = result["loads"]["50 %"], result["loads"][SATURATED]
            say(
                f"round {number + 1}, {system.title} ({system.setting}): beyond the decoder p50"
                f" {half['p50_ms'] - result['bare_ms']:.1f} ms at 50 %; {full['pairs_per_second']:.1f} pairs/s,"
                f" {full['pairs_per_second'] / result['bare_rate']:.2f} of its rate"
            )
    return results, left_out
