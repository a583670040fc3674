import asyncio
import gc

import numpy as np
import pytest

from center.output.broadcast import PairBroadcaster
from center.output.results import DecodedPair, ViewResult
from wire.views import View


def pair(rig: str, number: int, psnr_db: float | None = None) -> DecodedPair:
    picture = np.zeros((128, 256, 3), np.uint8)
    left = ViewResult(View.LEFT, number, 5.0, picture, 0.05, {}, psnr_db)
    return DecodedPair(rig, number, number, single=True, views=(left,))


async def test_a_slow_watcher_misses_pairs_and_never_sees_stale_ones() -> None:
    hub = PairBroadcaster()
    watcher = hub.watch("lab")
    for number in range(5):
        hub.publish(pair("lab", number))
    assert (await anext(watcher)).captured_at_ns == 4
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(watcher), 0.01)


async def test_one_busy_rig_does_not_hide_another() -> None:
    hub = PairBroadcaster()
    watcher = hub.watch()
    hub.publish(pair("quiet", 1))
    for number in range(5):
        hub.publish(pair("busy", number))
    seen = [await anext(watcher), await anext(watcher)]
    assert [(each.rig, each.captured_at_ns) for each in seen] == [("quiet", 1), ("busy", 4)]


async def test_a_watcher_of_one_rig_sees_no_other() -> None:
    hub = PairBroadcaster()
    watcher = hub.watch("lab")
    hub.publish(pair("roof", 1))
    hub.publish(pair("lab", 2))
    assert (await anext(watcher)).rig == "lab"
    assert hub.rigs() == ["lab", "roof"]


async def test_late_figures_replace_their_pair_but_never_a_newer_one() -> None:
    hub = PairBroadcaster()
    hub.publish(pair("lab", 1))
    hub.publish(pair("lab", 1, psnr_db=30.0))
    latest = hub.latest("lab")
    assert latest is not None
    assert latest.views[0].psnr_db == 30.0
    hub.publish(pair("lab", 2))
    hub.publish(pair("lab", 1, psnr_db=31.0))
    newest = hub.latest("lab")
    assert newest is not None
    assert newest.captured_at_ns == 2


async def test_a_new_pair_is_shown_even_if_the_clock_was_set_back() -> None:
    hub = PairBroadcaster()
    watcher = hub.watch("lab")
    hub.publish(pair("lab", 5000))
    hub.publish(pair("lab", 1400))
    assert (await anext(watcher)).captured_at_ns == 1400
    hub.publish(pair("lab", 1400, psnr_db=30.0))
    assert (await anext(watcher)).measured


async def test_closing_ends_every_loop() -> None:
    hub = PairBroadcaster()
    watcher = hub.watch()
    hub.publish(pair("lab", 1))
    hub.close()
    assert [each async for each in watcher] == []


async def test_watchers_that_went_away_are_not_kept() -> None:
    hub = PairBroadcaster()
    for _ in range(100):
        hub.watch()
    gc.collect()
    assert len(hub._watchers) == 0


async def test_a_forgotten_rig_is_gone() -> None:
    hub = PairBroadcaster()
    hub.publish(pair("lab", 1))
    hub.forget("lab")
    assert hub.rigs() == []
    assert hub.latest("lab") is None


async def test_late_figures_reach_those_who_asked_for_them_and_nobody_else() -> None:
    hub = PairBroadcaster()
    page, program = hub.watch("lab", late_figures=True), hub.watch("lab")
    hub.publish(pair("lab", 2))
    hub.publish(pair("lab", 1, psnr_db=31.0))
    seen = [await anext(page), await anext(page)]
    assert [(each.captured_at_ns, each.measured) for each in seen] == [(2, False), (1, True)]
    assert (await anext(program)).captured_at_ns == 2
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(program), 0.01)
