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

CALL_SECONDS: Final = 20.0


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

    def rate(self, seconds: float) -> float:
        """Pairs a second that arrived from the end of the settling to the end of the load."""
        first, last = self.began + SETTLE_SECONDS, self.began + seconds
        return sum(first <= at < last for at in self.arrivals) / (last - first)


async def at_beat(call: Call, requests: Sequence[bytes], rate: float, seconds: float) -> Answers:
    """Send `rate` pairs a second for `seconds`, then wait for those under way."""
    answers = Answers(time.monotonic())
    under_way = []
    for number, request in zip(range(round(rate * seconds)), itertools.cycle(requests), strict=False):
        await asyncio.sleep(answers.began + number / rate - time.monotonic())
        under_way.append(asyncio.create_task(_one(call, request, answers)))
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


async def _one(call: Call, request: bytes, answers: Answers) -> None:
    due = time.monotonic()
    try:
        await asyncio.wait_for(call(request), CALL_SECONDS)
    except Exception as error:  # of whatever a server answers; one pair lost ends no run
        answers.failed += 1
        answers.problem = answers.problem or f"{type(error).__name__}: {error}"
        await asyncio.sleep(0.01)  # a server that is gone refuses at once
        return
    answers.arrivals.append(time.monotonic())
    answers.ages.append(answers.arrivals[-1] - due)
