"""What a frame costs beside its decoding must not grow with the number of rigs. Steps are counted, not time: lines of
Python that are run, each turn of a loop too, and comparisons in heaps."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from center.output.broadcast import PairBroadcaster
from center.output.results import DecodedPair
from tests.center.decode.test_pipeline import PERIOD, Bench, slow
from wire.views import View


class Moment(float):
    """Seconds that count how often they are compared. What is reckoned from them is a plain float."""

    compared = 0

    def __lt__(self, other: Any) -> bool:
        Moment.compared += 1
        return float.__lt__(self, other)

    def __add__(self, other: Any) -> "Moment":
        return Moment(float.__add__(self, other))


def steps(work: Callable[[], object]) -> int:
    """Lines that run inside `work`, and comparisons."""
    lines = Moment.compared = 0

    def count(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        work()
    finally:
        sys.settrace(before)
    return lines + Moment.compared


async def cost_of_an_instant(rigs: int, queue: int) -> int:
    """Of an instant of one rig while all others wait: for their partners, for their turn, or with none left."""
    bench = Bench(queue=queue)
    slow(bench, 0.3)
    everybody = [bench.rig(f"rig-{number}") for number in range(rigs)]
    sequence = dict.fromkeys(everybody, 0)

    def left(rig: Any) -> None:
        sequence[rig] += 1
        bench.push(rig, bench.frame(rig, View.LEFT, sequence[rig], Moment(bench.at), Moment(bench.at + 9.0)))

    def right(rig: Any) -> None:
        bench.push(rig, bench.frame(rig, View.RIGHT, sequence[rig], Moment(bench.at), Moment(bench.at + 9.0)))

    for rig in everybody:
        left(rig)
        right(rig)
        bench.at += 1e-6
    bench.at += 0.1
    bench.pipeline.pump()  # each rig is looked at once a patience; all of them now, and none while we count
    for rig in everybody[1:]:
        left(rig)
        bench.at += 1e-6
    counted = 0
    for rig in everybody[:3]:
        bench.at += PERIOD / 10
        if rig is not everybody[0]:
            counted += steps(lambda rig=rig: right(rig))  # type: ignore[misc]
        else:
            counted += steps(lambda rig=rig: left(rig)) + steps(lambda rig=rig: right(rig))  # type: ignore[misc]
    await bench.pipeline.finish(0.01)  # what waits is lost; nobody is to decode it
    await bench.quality.close()
    return counted


@pytest.mark.parametrize("share", [2.0, 0.5], ids=["room for all", "a full queue"])
async def test_the_cost_of_an_instant_does_not_grow_with_the_number_of_rigs(share: float) -> None:
    few, many = [await cost_of_an_instant(rigs, round(share * rigs)) for rigs in (10, 1_000)]
    assert few > 100, "it counts"
    assert many <= 1.2 * few, "at most the depth of a heap more"


async def test_the_count_sees_a_walk_over_all_rigs() -> None:
    bench = Bench()
    for number in range(100):
        bench.rig(f"rig-{number}")
    assert steps(lambda: [rig.heard_since(0.0) for rig in bench.rigs]) > 100
    await bench.close()


def test_a_pair_costs_a_watcher_the_same_however_many_rigs_it_has_not_read() -> None:
    def cost(rigs: int) -> int:
        broadcaster = PairBroadcaster(rigs)
        watcher = broadcaster.watch()
        for number in range(rigs):
            broadcaster.publish(DecodedPair(f"rig-{number}", 1, 1, False, ()))
        newer = DecodedPair("rig-3", 2, 2, False, ())

        def take() -> None:
            with pytest.raises(StopIteration):  # it returns without a wait
                anext(watcher).send(None)  # type: ignore[attr-defined]

        return steps(lambda: broadcaster.publish(newer)) + steps(take)

    assert cost(1_000) <= 1.2 * cost(10)
