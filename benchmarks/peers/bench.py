"""Rounds of all systems in turns, the bare decoder before and after each load: a busy machine slows all alike.

A system is started for its turn and stopped after it: an idle Ray or Triton would take cores from the others.
"""

import asyncio
import statistics
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from benchmarks.peers import load, ours, process
from benchmarks.peers.load import Answers
from benchmarks.peers.roster import Peer, Setting
from benchmarks.peers.work import PairDecoder
from deploy.bench.load.frames import PreparedFrames
from deploy.bench.load.watcher import cpu_seconds
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

    def cpu(self) -> float:
        """CPU seconds of all its processes so far."""
        ...


@dataclass(frozen=True, slots=True)
class System:
    """One that takes turns. name: in results; title: for people; start: a server of it, warm"""

    name: str
    title: str
    start: Callable[[], AbstractAsyncContextManager[Running]]


@dataclass(frozen=True, slots=True)
class _RunningPeer:
    call: load.Call
    requests: Sequence[bytes]
    used: Callable[[], float]

    def cpu(self) -> float:
        return self.used()

    async def at_beat(self, rate: float, seconds: float) -> tuple[Answers, int]:
        return await load.at_beat(self.call, self.requests, rate, seconds), 0

    async def saturated(self, bare_rate: float, seconds: float) -> tuple[Answers, int]:
        return await load.saturated(self.call, self.requests, IN_FLIGHT, seconds), 0


@dataclass(frozen=True, slots=True)
class _RunningOurs:
    center: ours.Ours

    def cpu(self) -> float:
        return cpu_seconds(self.center.pid)

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
        async with process.serving(peer, python, setting, threads, requests, log) as (caller, used):
            yield _RunningPeer(caller, requests, used)

    return System(peer.name, f"{peer.title}, {setting}" if setting.batch > 1 else peer.title, start)


def our_system(prepared: PreparedFrames, codec: str, threads: int, logs: Path) -> System:
    """The center as it ships."""

    @asynccontextmanager
    async def start() -> AsyncIterator[Running]:
        async with ours.serving(prepared, codec, threads, IN_FLIGHT, logs) as center:
            yield _RunningOurs(center)

    return System("ours", "**ours**", start)


class Bare:
    """The decoder in this process, called as a peer is: what a pair takes without any server around it.

    At a beat it rests between pairs as a server does: on a busy machine who rests is served sooner than who works on.
    """

    def __init__(self, decoder: PairDecoder, requests: Sequence[bytes]) -> None:
        self._decoder, self._requests = decoder, requests
        self._thread = ThreadPoolExecutor(1)

    async def call(self, request: bytes) -> bytes:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._decode, request)

    async def at_beat(self, rate: float, seconds: float) -> Answers:
        return await load.at_beat(self.call, self._requests, rate, seconds)

    async def saturated(self, seconds: float) -> Answers:
        return await load.saturated(self.call, self._requests, 1, seconds)

    def _decode(self, request: bytes) -> bytes:
        painted: bytes = self._decoder.decode([request])[0].tobytes()
        return painted


async def turn(system: System, bare: Bare, seconds: float) -> Result:
    """One system under every load; the decoder alone has the same load for half the time before and after each.

    seconds  of each load
    raises   process.DidNotStart or UserError
    """
    result: Result = {}
    half = load.SETTLE_SECONDS + seconds / 2
    async with system.start() as running:
        for name in (*SHARES, SATURATED):
            alone = [await bare.saturated(half)]
            rate = alone[0].rate(half)
            if name == SATURATED:
                used = running.cpu()
                answers, single = await running.saturated(rate, seconds)
                used = running.cpu() - used
                alone.append(await bare.saturated(half))
            else:
                beat = SHARES[name] * rate
                alone = [await bare.at_beat(beat, half)]
                used = running.cpu()
                answers, single = await running.at_beat(beat, seconds)
                used = running.cpu() - used
                alone.append(await bare.at_beat(beat, half))
            result[name] = figures(answers, single, seconds, used) | between(alone, half)
    return result


def between(alone: Sequence[Answers], seconds: float) -> Result:
    """The decoder alone, as it would have been meanwhile: median age, and rate."""
    return {
        "bare_ms": statistics.fmean(each.age_ms(0.5) for each in alone),
        "bare_rate": statistics.fmean(each.rate(seconds) for each in alone),
    }


def figures(answers: Answers, alone: int, seconds: float, used: float) -> Result:
    """What is kept of one load.

    alone  instants decoded with one view only, which make no pair
    used   CPU seconds of the server
    """
    paired = 1.0 - alone / len(answers.arrivals) if answers.arrivals else 0.0
    return {
        "p50_ms": answers.age_ms(0.5),
        "p99_ms": answers.age_ms(0.99),
        "pairs_per_second": answers.rate(seconds) * paired,
        "pairs": len(answers.arrivals),
        "cpu_ms_a_pair": used / len(answers.arrivals) * 1e3 if answers.arrivals else float("nan"),
        "alone": alone,
        "failed": answers.failed,
        "problem": answers.problem,
    }


async def take_turns(
    systems: Sequence[System],
    bare: Bare,
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
                result = await turn(system, bare, seconds)
            except (process.DidNotStart, UserError) as problem:
                left_out[system.name] = str(problem).replace("\n", " ")
                say(f"{system.title}: left out: {left_out[system.name]}")
                continue
            results[system.name].append(result)
            half, full = result["50 %"], result[SATURATED]
            say(
                f"round {number + 1}, {system.title}: p50 {half['p50_ms'] / half['bare_ms']:.2f} of the decoder's time"
                f" at 50 %; {full['pairs_per_second'] / full['bare_rate']:.2f} of its rate at most"
            )
    return results, left_out
