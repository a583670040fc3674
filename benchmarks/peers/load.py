"""Load on one server: at a beat, whatever the server does, or with a fixed number of pairs on their way.

Knows no server: `call` takes the bytes of a pair and gives those of its pictures.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from deploy.bench.load.watcher import quantile

Call = Callable[[bytes], Awaitable[bytes]]

SETTLE_SECONDS: Final = 1.0
"""At the start of each load, whose pairs do not count."""

CALL_SECONDS: Final = 10.0


@dataclass
class Answers:
    """What came back.

    began     when the load began, time.monotonic
    arrivals  when each pair's pictures were there, time.monotonic
    ages      seconds from when the pair was due to then; the same order
    failed    pairs that brought no pictures, and why the first one did not
    """

    began: float
    arrivals: list[float] = field(default_factory=list)
    ages: list[float] = field(default_factory=list)
    failed: int = 0
    problem: str = ""

    def settled_ages(self) -> list[float]:
        """Of pairs that were due after the start had settled."""
        since = self.began + SETTLE_SECONDS
        return [age for age, at in zip(self.ages, self.arrivals, strict=True) if at - age >= since]

    def age_ms(self, share: float) -> float:
        """A quantile of the ages, milliseconds; NaN where none settled."""
        return quantile(self.settled_ages(), share) * 1e3


async def at_beat(call: Call, requests: Sequence[bytes], rate: float, seconds: float) -> Answers:
    """Send `rate` pairs a second for `seconds`, then wait for those under way."""
    answers = Answers(time.monotonic())
    under_way = []
    for number, request in zip(range(round(rate * seconds)), itertools.cycle(requests), strict=False):
        due = answers.began + number / rate
        await asyncio.sleep(due - time.monotonic())
        under_way.append(asyncio.create_task(_one(call, request, answers, due)))
    await asyncio.gather(*under_way)
    return answers


async def saturated(call: Call, requests: Sequence[bytes], in_flight: int, seconds: float) -> Answers:
    """Keep `in_flight` pairs on their way for `seconds`: as soon as one is back, the next one goes."""
    answers = Answers(time.monotonic())
    clip = itertools.cycle(requests)

    async def keep_sending() -> None:
        while time.monotonic() < answers.began + seconds:
            await _one(call, next(clip), answers)

    await asyncio.gather(*(keep_sending() for _ in range(in_flight)))
    return answers


async def in_turns(call: Call, alone: Call, requests: Sequence[bytes], pairs: int) -> tuple[list[float], list[float]]:
    """Send one pair to a server, then one to the decoder alone, and rest for as long; again and again.

    A machine that is busy in other ways is so for both: what is left between the two is the server's.

    returns  seconds that each pair took, at the server and alone; a pair that fails on either side counts on neither
    """
    server, bare = [], []
    for number, request in zip(range(pairs), itertools.cycle(requests), strict=False):
        took = []
        for each in (call, alone) if number % 2 else (alone, call):
            answers = Answers(time.monotonic())
            await _one(each, request, answers)
            took += answers.ages
            await asyncio.sleep(sum(answers.ages))
        if len(took) == 2:
            first, second = took
            server.append(first if number % 2 else second)
            bare.append(second if number % 2 else first)
    return server, bare


async def blocks(
    call: Call, alone: Call, requests: Sequence[bytes], in_flight: int, seconds: float, blocks: int
) -> tuple[Answers, float, Answers, float]:
    """Saturate a server and the decoder alone by turns, so many blocks of so many seconds each.

    returns  the server's answers and the seconds in which they came; the same of the decoder alone
    """
    found = [Answers(time.monotonic()), Answers(time.monotonic())]
    spent = [0.0, 0.0]
    for _ in range(blocks):
        for who, (each, most) in enumerate(((call, in_flight), (alone, 1))):
            began = time.monotonic()
            answers = await saturated(each, requests, most, seconds)
            spent[who] += time.monotonic() - began
            found[who].arrivals += answers.arrivals
            found[who].ages += answers.ages
            found[who].failed += answers.failed
            found[who].problem = found[who].problem or answers.problem
    return found[0], spent[0], found[1], spent[1]


async def _one(call: Call, request: bytes, answers: Answers, due: float | None = None) -> None:
    """due: when it was to be sent, time.monotonic; by default now. A driver that is late must not hide a wait."""
    due = time.monotonic() if due is None else due
    try:
        await asyncio.wait_for(call(request), CALL_SECONDS)
    except Exception as error:  # of whatever a server answers; one pair lost ends no run
        answers.failed += 1
        answers.problem = answers.problem or f"{type(error).__name__}: {error}"
        await asyncio.sleep(0.01)  # a server that is gone refuses at once
        return
    answers.arrivals.append(time.monotonic())
    answers.ages.append(answers.arrivals[-1] - due)
