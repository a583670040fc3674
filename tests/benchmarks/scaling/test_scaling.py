"""The cost model, the simulation, and that docs/scaling.md says what they say."""

import asyncio
import dataclasses
import json
from pathlib import Path

import pytest

from benchmarks.scaling.__main__ import BEGIN, END, PAGE, breaks, capacity, page
from benchmarks.scaling.measure import _LINKS, NoEngine, of_calls, of_emulator, of_uplink
from benchmarks.scaling.model import HEADROOM, MEASURED, Costs, Tiers, bytes_a_pair, cores, plan, saturates
from benchmarks.scaling.simulate import CREDIT, Queue, center, spread, whole
from center.decode.engines import Batch
from deploy.bench.emulator import serve_center, serve_emulator
from deploy.bench.started import serving

COSTS = Costs(encode=0.01, uplink=0.0004, emulator=0.001, front=0.003, watcher=0.001, engine=0.04, idle_rig=100_000.0)


@pytest.mark.timeout(300)
def test_the_page_holds_what_the_command_prints() -> None:
    inside = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    assert inside == page(), "run `python -m benchmarks.scaling --write`"


def test_the_stored_measurement_is_whole() -> None:
    told = json.loads(MEASURED.read_text())
    assert told["when"]
    for kind in ("onnxruntime", "onnxruntime-i8"):
        for link in ("awgn", "rayleigh"):
            costs = Costs.read(kind=kind, link=link)
            assert all(each > 0.0 for each in dataclasses.astuple(costs))
    assert Costs.read(kind="onnxruntime").engine > Costs.read(kind="onnxruntime-i8").engine


def test_the_model_multiplies() -> None:
    busy = cores(COSTS, 100.0)
    assert busy == pytest.approx({"edge": 2.08, "emulator": 0.2, "front": 0.3, "engine": 4.0})
    assert cores(COSTS, 100.0, watched=2.0)["front"] == pytest.approx(0.5)
    assert saturates(COSTS)["front (a process)"] == pytest.approx(1 / 0.003)
    assert bytes_a_pair(watched=1.0) == {"in": 2 * 40_960, "out": 2 * 98_304}


def test_a_plan_keeps_every_tier_below_its_headroom() -> None:
    for rigs in (1, 30, 1_000):
        planned = plan(COSTS, rigs, 10.0)
        busy = cores(COSTS, rigs * 10.0 / planned.centers)
        assert busy["front"] <= HEADROOM
        assert busy["emulator"] <= HEADROOM * planned.each.emulators
        assert busy["engine"] <= HEADROOM * planned.each.engines
    watched = plan(COSTS, 1_000, 10.0, watched=10.0)
    assert watched.centers > plan(COSTS, 1_000, 10.0).centers


@pytest.mark.parametrize(("tiers", "full"), [(Tiers(1, 2), "engine"), (Tiers(4, 64), "front"), (Tiers(1, 64), "front")])
def test_what_the_model_says_is_full_first_is_full_in_the_simulation(tiers: Tiers, full: str) -> None:
    """And the simulated share of pairs is the model's within 3 %, until the front alone makes pairs too old."""
    rigs = round(capacity(COSTS, tiers) / 10.0 * 1.3)
    outcome = center(COSTS, rigs, tiers, 10.0)
    assert breaks(outcome) == full
    assert outcome.shown / outcome.offered == pytest.approx(capacity(COSTS, tiers) / (rigs * 10.0), rel=0.03)


def test_a_full_emulator_is_seen() -> None:
    slow = dataclasses.replace(COSTS, emulator=0.01)
    outcome = center(slow, 8, Tiers(1, 64), 10.0)
    assert breaks(outcome) == "emulator"
    assert breaks(center(slow, 4, Tiers(1, 64), 10.0)) == ""


def test_an_idle_center_adds_only_its_own_time() -> None:
    outcome = center(COSTS, 1, Tiers(1, 1), 2.0)
    least = COSTS.encode + 2 * COSTS.emulator + COSTS.front + COSTS.engine
    assert outcome.shown == outcome.offered > 0
    assert all(least <= age <= least + 0.003 for age in outcome.ages)


def test_under_overload_what_is_shown_stays_young() -> None:
    """Newer pairs take the place of older ones: the age is that of the rigs before, not of all that came."""
    outcome = center(COSTS, 12, Tiers(1, 2), 10.0)
    assert outcome.shown < 0.6 * outcome.offered
    assert sorted(outcome.ages)[len(outcome.ages) // 2] < 0.5


def test_a_rig_without_credit_waits_at_its_camera() -> None:
    queue = Queue(1.0)
    assert [queue.take(0.0, 7) for _ in range(CREDIT + 1)] == [1.0, 2.0, 3.0, None]
    assert queue.take(0.0, 8) == 4.0
    assert queue.take(1.0, 7) == 5.0
    assert queue.spent == 5.0


def test_the_simulation_is_the_same_every_time() -> None:
    assert center(COSTS, 9, Tiers(1, 4), 10.0) == center(COSTS, 9, Tiers(1, 4), 10.0)
    assert center(COSTS, 9, Tiers(1, 4), 10.0, seed=2) != center(COSTS, 9, Tiers(1, 4), 10.0)


def test_rigs_stay_where_they_are_when_a_center_goes() -> None:
    loads = spread(2_000, 20)
    assert sum(loads) == 2_000
    assert min(loads) > 0
    assert max(loads) / 100 < 1.6
    assert max(spread(2_000, 20, ring=20)) > max(loads), "a ring of few points spreads worse"


def test_an_even_spread_shows_what_the_ring_loses() -> None:
    planned = plan(COSTS, 2_000, 10.0)
    ringed, even = whole(COSTS, planned, ring=planned.centers), whole(COSTS, planned, even=True)
    assert even.shown == pytest.approx(1.0)
    assert even.fullest <= 1.1
    assert ringed.shown < even.shown
    assert ringed.p50 < ringed.p99


def test_an_engine_that_paints_nothing_takes_no_time() -> None:
    engine, batch = NoEngine(), Batch.noise(3)
    assert engine.decode(batch).shape == (3, 2, 3, 128, 256)
    assert of_calls(lambda: engine.decode(batch), 5) < 0.01


@pytest.mark.timeout(120)
def test_a_frame_is_measured_at_its_camera_and_in_the_emulator() -> None:
    with serving(serve_center) as (_, sink):
        assert asyncio.run(of_uplink(sink, 20)) > 0.0
        with serving(serve_emulator, sink) as (pid, address):
            assert asyncio.run(of_emulator(address, pid, _LINKS["rayleigh"], 100)) > 0.0


def test_the_measurement_lies_beside_the_model() -> None:
    assert Path(MEASURED).parent.name == "scaling"
