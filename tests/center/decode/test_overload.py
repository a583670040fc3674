"""Twice as much as the decoder can do, with pairer and batcher on a clock of our own: what is shown, and how old it is.

A decoder of a fixed time for each pair; cameras that keep their credit; delays that now and then part the views by more
than the patience, as on a machine whose cores are all taken. Everything comes from counted random numbers, so that each
run is the same.
"""

import heapq
import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from center.decode.batcher import Batcher, Dropped
from center.decode.pairer import DroppedLate, Outcome, Paired, Pairer, Single
from wire.contract.occupancy import silence_of
from wire.geometry import DEFAULT_SIZE, PictureSize
from wire.views import View

SERVICE = 0.05
"""Seconds of the decoder for a pair, and for a view alone."""
PATIENCE, SILENCE, BUDGET, CREDIT = 0.08, 1.0, 1.0, 3


@dataclass(frozen=True, eq=False)
class Shot:
    """A frame on its way."""

    rig: str
    view: View
    sequence: int
    captured_at: float
    arrived_at: float = 0.0


@dataclass(frozen=True, eq=False)
class Work:
    shots: tuple[Shot, ...]
    queued_at: float
    deferred: bool = False
    size: PictureSize = DEFAULT_SIZE

    @property
    def rig(self) -> str:
        return self.shots[0].rig

    @property
    def expires_at(self) -> float:
        return min(shot.captured_at for shot in self.shots) + BUDGET


@dataclass
class Camera:
    """Keeps its credit, and its newest frame while it has none."""

    credit: int = CREDIT
    held: Shot | None = None
    last_arrival: float = 0.0


@dataclass
class Shown:
    ages: list[float] = field(default_factory=list)
    by_rig: Counter[str] = field(default_factory=Counter)
    whole: int = 0
    alone: int = 0
    most_waiting: int = 0
    busy: float = 0.0


class Simulation:
    """rigs at `rate` pairs a second each, over `seconds`.

    defers     whether a view whose partner is awaited is deferred, as the pipeline does
    straggles  the share of frames that come so late that their partner's patience is over, with all behind them
    at_once    batches that the decoder works on: one of up to four pairs, or two of one pair that take twice as long
    """

    def __init__(
        self, rigs: int, rate: float, seconds: float, defers: bool, straggles: float, at_once: int = 1
    ) -> None:
        self.rate, self.seconds, self.defers, self.straggles = rate, seconds, defers, straggles
        self.names = [f"rig-{number}" for number in range(rigs)]
        silence = silence_of(SILENCE, rate)
        self.pairers: dict[str, Pairer[Shot]] = {name: Pairer(0.5 / rate, PATIENCE, silence) for name in self.names}
        self.at_once = at_once
        self.batcher: Batcher[Work] = Batcher(4 if at_once == 1 else 1, 0.005, capacity=64)
        self.cameras: defaultdict[tuple[str, View], Camera] = defaultdict(Camera)
        self.random = random.Random(7)
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.order = itertools.count()
        self.now, self.decoding, self.shown = 0.0, 0, Shown()

    def at(self, moment: float, what: Callable[[], None]) -> None:
        heapq.heappush(self.events, (moment, next(self.order), what))

    def run(self) -> Shown:
        for number, name in enumerate(self.names):
            for view in View:
                self.pairers[name].connect(view, 0.0, restarted=True)
            for shot in range(round(self.seconds * self.rate)):
                moment = number / len(self.names) / self.rate + shot / self.rate
                self.at(moment, lambda name=name, shot=shot: self.capture(name, shot + 1))  # type: ignore[misc]
        while self.events and self.events[0][0] < self.seconds:
            self.now, _, what = heapq.heappop(self.events)
            what()
            self.pump()
        return self.shown

    def capture(self, rig: str, sequence: int) -> None:
        for view in View:
            camera = self.cameras[rig, view]
            camera.held = Shot(rig, view, sequence, self.now)
            self.send(rig, view)

    def send(self, rig: str, view: View) -> None:
        camera = self.cameras[rig, view]
        if camera.held is None or not camera.credit:
            return
        shot, camera.held = camera.held, None
        camera.credit -= 1
        slow = self.random.random() < self.straggles
        way = 0.002 + 0.01 * self.random.random() + slow * (PATIENCE + 0.3 * self.random.random())
        camera.last_arrival = max(camera.last_arrival, self.now + way)  # a stream keeps its order
        self.at(camera.last_arrival, lambda: self.arrive(shot))

    def arrive(self, shot: Shot) -> None:
        here = Shot(shot.rig, shot.view, shot.sequence, shot.captured_at, self.now)
        self.decide(self.pairers[shot.rig].push(here))
        if (deadline := self.pairers[shot.rig].deadline) < float("inf"):
            self.at(deadline, lambda: self.decide(self.pairers[shot.rig].expire(self.now)))

    def decide(self, outcomes: list[Outcome[Shot]]) -> None:
        for outcome in outcomes:
            match outcome:
                case Paired(left, right):
                    self.drop(self.batcher.push(Work((left, right), self.now)))
                case Single(shot, awaited):
                    self.drop(self.batcher.push(Work((shot,), self.now, awaited and self.defers)))
                case DroppedLate(shot):
                    self.join(shot)
                case other:
                    raise AssertionError(other)

    def join(self, shot: Shot) -> None:
        """As the pipeline does: a late frame joins its partner that still waits."""
        work = self.batcher.newest(shot.rig)
        if work is not None and [each.sequence for each in work.shots] == [shot.sequence]:
            self.drop(self.batcher.replace_newest(Work((*work.shots, shot), work.queued_at)))
        else:
            self.answer(shot)

    def drop(self, dropped: list[Dropped[Work]]) -> None:
        for each in dropped:
            for shot in each.job.shots:
                self.answer(shot)

    def answer(self, shot: Shot) -> None:
        self.cameras[shot.rig, shot.view].credit += 1
        self.pairers[shot.rig].credit(shot.view, self.now)
        self.send(shot.rig, shot.view)

    def pump(self) -> None:
        self.drop(self.batcher.expire(self.now))
        self.shown.most_waiting = max(self.shown.most_waiting, len(self.batcher))
        while batch := self.batcher.take(self.now, max(0, self.decoding + 1 - self.at_once)):
            self.decoding += 1
            self.shown.busy += SERVICE * len(batch)
            for work in batch:
                for shot in work.shots:
                    self.answer(shot)
            self.at(self.now + SERVICE * len(batch) * self.at_once, lambda batch=batch: self.show(batch))  # type: ignore[misc]

    def show(self, batch: list[Work]) -> None:
        self.decoding -= 1
        for work in batch:
            self.shown.by_rig[work.rig] += 1
            self.shown.ages.append(self.now - min(shot.captured_at for shot in work.shots))
            if len(work.shots) == 2:
                self.shown.whole += 1
            else:
                self.shown.alone += 1


CASES = [(1, 2.0, 0.0), (8, 2.0, 0.02), (64, 2.0, 0.1), (64, 3.4, 0.1)]
"""Rigs, how many times what the decoder can do they offer, and the share of frames that come late. A rig alone whose
one view is held up leaves the decoder with nothing better to do than the other."""


@pytest.mark.parametrize("at_once", [1, 2])
@pytest.mark.parametrize(("rigs", "load", "straggles"), CASES)
def test_an_overloaded_decoder_shows_whole_young_pairs_of_every_rig(
    rigs: int, load: float, straggles: float, at_once: int
) -> None:
    rate, seconds = load / SERVICE / rigs, 60.0
    shown = Simulation(rigs, rate, seconds, True, straggles, at_once).run()
    assert shown.whole * SERVICE >= 0.9 * seconds, "goodput, of what the decoder can do"
    assert shown.alone <= 0.002 * shown.whole, "no view alone whose partner was merely late"
    ages = sorted(shown.ages)
    batch = 4 * SERVICE
    assert ages[int(0.99 * len(ages))] <= min(3.0 / rate, BUDGET) + batch
    assert shown.most_waiting <= rigs + 1
    fair = len(ages) / rigs
    assert all(shown.by_rig[f"rig-{number}"] >= 0.9 * fair for number in range(rigs)), shown.by_rig


def test_without_deferring_views_are_decoded_alone_though_both_came() -> None:
    """The same load on what we had before: else the test above could not fail."""
    shown = Simulation(64, 2.0 / SERVICE / 64, 60.0, False, 0.1).run()
    assert shown.alone > 0.02 * shown.whole


def test_a_decoder_with_time_to_spare_shows_a_view_alone_when_its_patience_is_over() -> None:
    shown = Simulation(4, 0.3 / SERVICE / 4, 60.0, True, 0.05).run()
    offered = 0.3 / SERVICE * 60.0
    assert shown.whole + shown.alone >= 0.97 * offered
    assert shown.alone > 0.02 * offered
