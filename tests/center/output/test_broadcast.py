import asyncio
import gc

import numpy as np

from center.output.broadcast import PairBroadcaster
from center.output.results import DecodedPair, ViewResult
from wire.views import View

PICTURE = np.zeros((128, 256, 3), np.uint8)


def pair(rig: str, number: int, psnr_db: float | None = None, right_psnr_db: float | None = None) -> DecodedPair:
    views = tuple(
        ViewResult(view, number, 5.0, PICTURE, 0.05, {}, each)
        for view, each in ((View.LEFT, psnr_db), (View.RIGHT, right_psnr_db))
    )
    return DecodedPair(rig, number, number, single=False, views=views)


def shown(each: DecodedPair) -> tuple[str, int, bool]:
    return each.rig, each.captured_at_ns, each.measured


async def test_a_slow_watcher_misses_pairs_and_never_sees_stale_ones() -> None:
    broadcaster = PairBroadcaster()
    watcher = broadcaster.watch("lab")
    for number in range(5):
        broadcaster.publish(pair("lab", number))
    assert (await anext(watcher)).captured_at_ns == 4
    broadcaster.publish(pair("lab", 9))
    assert (await anext(watcher)).captured_at_ns == 9, "nothing else is left"


async def test_one_busy_rig_does_not_hide_another() -> None:
    broadcaster = PairBroadcaster()
    watcher = broadcaster.watch()
    broadcaster.publish(pair("quiet", 1))
    for number in range(5):
        broadcaster.publish(pair("busy", number))
    seen = [await anext(watcher), await anext(watcher)]
    assert [(each.rig, each.captured_at_ns) for each in seen] == [("quiet", 1), ("busy", 4)]


async def test_a_watcher_of_one_rig_sees_no_other() -> None:
    broadcaster = PairBroadcaster()
    watcher = broadcaster.watch("lab")
    broadcaster.publish(pair("roof", 1))
    broadcaster.publish(pair("lab", 2))
    assert (await anext(watcher)).rig == "lab"
    assert broadcaster.rigs() == ["lab", "roof"]


async def test_late_figures_replace_their_pair_but_never_a_newer_one() -> None:
    broadcaster = PairBroadcaster()
    broadcaster.publish(pair("lab", 1))
    broadcaster.publish(pair("lab", 1, psnr_db=30.0))
    latest = broadcaster.latest("lab")
    assert latest is not None
    assert latest.views[0].psnr_db == 30.0
    broadcaster.publish(pair("lab", 2))
    broadcaster.publish(pair("lab", 1, psnr_db=31.0))
    newest = broadcaster.latest("lab")
    assert newest is not None
    assert newest.captured_at_ns == 2


async def test_a_new_pair_is_shown_even_if_the_clock_was_set_back() -> None:
    broadcaster = PairBroadcaster()
    watcher = broadcaster.watch("lab")
    broadcaster.publish(pair("lab", 5000))
    broadcaster.publish(pair("lab", 1400))
    assert (await anext(watcher)).captured_at_ns == 1400
    broadcaster.publish(pair("lab", 1400, psnr_db=30.0))
    assert (await anext(watcher)).measured


async def test_closing_ends_every_loop_after_what_is_decoded() -> None:
    broadcaster = PairBroadcaster()
    watcher, gone, page = broadcaster.watch(), broadcaster.watch(), broadcaster.watch(credit=0)
    broadcaster.publish(pair("lab", 1))
    gone.close()
    broadcaster.close()
    broadcaster.publish(pair("lab", 2))
    assert [each.captured_at_ns async for each in watcher] == [1], "the last pair of a center that stops is shown"
    assert [each async for each in gone] == [], "who left himself gets nothing more"
    assert [each async for each in page] == [], "what there is no credit for is not waited for"


async def test_watchers_that_went_away_are_not_kept() -> None:
    broadcaster = PairBroadcaster()
    for _ in range(100):
        broadcaster.watch()
    gc.collect()
    assert len(broadcaster._watchers) == 0


async def test_a_forgotten_rig_is_gone() -> None:
    broadcaster = PairBroadcaster()
    broadcaster.publish(pair("lab", 1))
    broadcaster.forget("lab")
    assert broadcaster.rigs() == []
    assert broadcaster.latest("lab") is None


async def test_late_figures_reach_those_who_asked_for_them_and_nobody_else() -> None:
    broadcaster = PairBroadcaster()
    page, program = broadcaster.watch("lab", late_figures=True), broadcaster.watch("lab")
    broadcaster.publish(pair("lab", 2))
    broadcaster.publish(pair("lab", 1, psnr_db=31.0))
    seen = [await anext(page), await anext(page)]
    assert [(each.captured_at_ns, each.measured) for each in seen] == [(2, False), (1, True)]
    assert (await anext(program)).captured_at_ns == 2
    broadcaster.publish(pair("lab", 3))
    assert (await anext(program)).captured_at_ns == 3, "nothing else is left"


async def test_figures_outlive_the_pair_that_was_missed_by_rig_and_view() -> None:
    broadcaster = PairBroadcaster()
    page = broadcaster.watch(late_figures=True)
    broadcaster.publish(pair("lab", 1, 25.0, 31.0))
    broadcaster.publish(pair("lab", 2, 26.0))
    broadcaster.publish(pair("barn", 1, 20.0))
    broadcaster.publish(pair("lab", 3))
    seen = [shown(await anext(page)) for _ in range(4)]
    assert seen == [("lab", 3, False), ("lab", 1, True), ("lab", 2, True), ("barn", 1, True)], "the older figures first"
    broadcaster.publish(pair("lab", 4))
    assert shown(await anext(page)) == ("lab", 4, False), "nothing comes twice"


async def test_a_pair_that_is_measured_before_it_is_read_comes_once() -> None:
    broadcaster = PairBroadcaster()
    page = broadcaster.watch(late_figures=True)
    broadcaster.publish(pair("lab", 1))
    broadcaster.publish(pair("lab", 1, 25.0))
    broadcaster.publish(pair("lab", 1, 25.0, 31.0))
    broadcaster.publish(pair("barn", 1))
    assert [shown(await anext(page)) for _ in range(2)] == [("lab", 1, True), ("barn", 1, False)]


async def test_without_credit_nothing_is_given_and_then_the_newest() -> None:
    broadcaster = PairBroadcaster()
    page = broadcaster.watch(credit=2)
    for number in (1, 2):
        broadcaster.publish(pair("lab", number))
        assert (await anext(page)).captured_at_ns == number
    broadcaster.publish(pair("lab", 3))
    waiting = asyncio.ensure_future(anext(page))
    credited = asyncio.create_task(page.wait_for_credit())
    await asyncio.sleep(0)
    assert not page._readable.is_set()
    broadcaster.publish(pair("lab", 4))
    page.acknowledge()
    await credited
    assert (await waiting).captured_at_ns == 4, "3 was not given before"


async def test_credit_never_grows_beyond_the_window() -> None:
    broadcaster = PairBroadcaster()
    page = broadcaster.watch(credit=1)
    for _ in range(5):
        page.acknowledge()
    broadcaster.publish(pair("lab", 1))
    await anext(page)
    broadcaster.publish(pair("lab", 2))
    waiting = asyncio.ensure_future(anext(page))
    broadcaster.publish(pair("lab", 3))
    page.acknowledge()
    assert (await waiting).captured_at_ns == 3, "2 was not given, as it would have been on a second credit"


async def test_closing_ends_a_wait_for_credit() -> None:
    broadcaster = PairBroadcaster()
    page = broadcaster.watch(credit=1)
    broadcaster.publish(pair("lab", 1))
    await anext(page)
    broadcaster.close()
    await page.wait_for_credit()
    assert [each async for each in page] == []


async def test_a_watcher_that_never_reads_keeps_no_rig_that_is_gone() -> None:
    """Each pair has 197 kB; rigs come and go under new names for as long as the center runs."""
    broadcaster = PairBroadcaster(most_rigs=8)
    never_reads = broadcaster.watch(late_figures=True)
    for number in range(100):
        broadcaster.publish(pair(f"rig-{number}", 2, 25.0, 31.0))
        broadcaster.publish(pair(f"rig-{number}", 3))
    broadcaster.forget("rig-99")
    assert broadcaster.rigs() == [f"rig-{number}" for number in range(92, 99)]
    kept = [shown(await anext(never_reads)) for _ in range(2 * 7)]
    assert {rig for rig, _, _ in kept} == set(broadcaster.rigs())
    broadcaster.publish(pair("last", 1))
    assert shown(await anext(never_reads)) == ("last", 1, False), "that was all"
