"""Pairer, batcher, credit and matcher against models that are simple enough to be believed, over any order of events.

Hypothesis finds the orders; the same ones in each run.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run

from center.decode.batcher import Batcher, Dropped
from center.decode.pairer import MOST_WAITING, SET_BACK, DroppedLate, Outcome, Paired, Pairer, Repeated, Single
from center.ingest.credit import Credit
from center.output.quality import FrameKey, Matcher
from edge.uplink.credit import CreditWindow
from wire.geometry import DEFAULT_SIZE, PictureSize
from wire.views import View

QUICK = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
VIEWS = st.sampled_from(list(View))
RIGS = st.sampled_from(["a", "b", "c", "d"])
STEPS = st.sampled_from([0.0, 0.001, 0.01, 0.05, 0.3])
HELD = st.integers(1, 6)


@dataclass(frozen=True, eq=False)
class Seen:
    view: View
    sequence: int
    captured_at: float
    arrived_at: float


class Pairing(RuleBasedStateMachine):
    """Frames in their cameras' order, with delays, gaps, repeats, restarts and clocks that are set."""

    tolerance, patience, silence = 0.02, 0.08, 1.0

    def __init__(self) -> None:
        super().__init__()
        self.pairer: Pairer[Seen] = Pairer(self.tolerance, self.patience, self.silence)
        self.now = 100.0
        self.waiting: list[Seen] = []
        self.newest = dict.fromkeys(View, 0)
        self.sent = dict.fromkeys(View, 0)
        self.clock = dict.fromkeys(View, 0.0)
        self.last_captured = dict.fromkeys(View, -1e9)
        self.shown_until = -1e9

    def decided(self, outcomes: Sequence[Outcome[Seen]]) -> None:
        """Each frame comes out once, and what is shown never goes back in time."""
        for outcome in outcomes:
            frames = [outcome.left, outcome.right] if isinstance(outcome, Paired) else [outcome.frame]
            for frame in frames:
                assert frame in self.waiting
                self.waiting.remove(frame)
            if isinstance(outcome, Paired):
                assert (outcome.left.view, outcome.right.view) == (View.LEFT, View.RIGHT)
                assert abs(outcome.left.captured_at - outcome.right.captured_at) <= self.tolerance
            if isinstance(outcome, Paired | Single):
                at = max(frame.captured_at for frame in frames)
                assert at >= self.shown_until - self.tolerance
                self.shown_until = max(self.shown_until, at)

    @rule(step=STEPS)
    def wait(self, step: float) -> None:
        self.now += step
        self.decided(self.pairer.expire(self.now))
        assert all(frame.arrived_at + self.patience > self.now for frame in self.waiting)

    @rule(view=VIEWS, restarted=st.booleans())
    def connect(self, view: View, restarted: bool) -> None:
        self.pairer.connect(view, self.now, restarted)
        if restarted:
            self.newest[view] = self.sent[view] = 0

    @rule(view=VIEWS)
    def disconnect(self, view: View) -> None:
        self.decided(self.pairer.disconnect(view))
        assert all(frame.view is view for frame in self.waiting)

    @rule(view=VIEWS, delay=STEPS, gap=st.sampled_from([0, 1, 1, 1, 2, 5]))
    def push(self, view: View, delay: float, gap: int) -> None:
        self.sent[view] += gap
        captured = max(self.now - delay + self.clock[view], self.last_captured[view] + 0.001)
        if self.clock[view] < 0:  # its clock was set back just now
            captured, self.clock[view] = self.now - delay + self.clock[view], 0.0
        frame = Seen(view, self.sent[view], captured, self.now)
        self.waiting.append(frame)
        set_back = captured < self.last_captured[view] - SET_BACK
        outcomes = self.pairer.push(frame)
        repeated = [outcome for outcome in outcomes if isinstance(outcome, Repeated)]
        assert bool(repeated) == (frame.sequence <= self.newest[view])
        if repeated:
            assert repeated == [Repeated(frame, self.newest[view])]
        else:
            self.newest[view], self.last_captured[view] = frame.sequence, captured
        late = [outcome for outcome in outcomes if isinstance(outcome, DroppedLate)]
        assert all(outcome.frame is frame for outcome in late), "only what comes can be late"
        if set_back and not repeated:  # what waited goes first; then the past is forgotten
            before = [outcome for outcome in outcomes if isinstance(outcome, Single) and outcome.frame is not frame]
            self.decided(before)
            outcomes = [outcome for outcome in outcomes if outcome not in before]
            self.shown_until = -1e9
        self.decided(outcomes)

    @rule(view=VIEWS)
    def set_back(self, view: View) -> None:
        self.clock[view] = -5.0

    @invariant()
    def they_wait_for_one_camera_in_order(self) -> None:
        assert len({frame.view for frame in self.waiting}) <= 1
        assert len(self.waiting) <= MOST_WAITING
        first = self.waiting[0].arrived_at + self.patience if self.waiting else float("inf")
        assert self.pairer.deadline == first

    def teardown(self) -> None:
        self.decided(self.pairer.flush())
        assert not self.waiting


@dataclass(frozen=True, eq=False)
class Job:
    rig: str
    queued_at: float
    expires_at: float
    deferred: bool = False
    size: PictureSize = DEFAULT_SIZE


class Batching(RuleBasedStateMachine):
    """Against a list of (rig, jobs), sorted anew for each question."""

    @initialize(
        size=st.integers(1, 3),
        delay=STEPS,
        capacity=st.integers(1, 6),
        per_rig=st.integers(1, 3),
        ahead=st.integers(0, 2),
    )
    def make(self, size: int, delay: float, capacity: int, per_rig: int, ahead: int) -> None:
        self.batcher: Batcher[Job] = Batcher(size, delay, capacity, per_rig, ahead)
        self.turns: list[tuple[str, list[Job]]] = []
        self.deferred: list[Job] = []
        self.served: list[str] = []  # rigs by their last turn
        self.now = 0.0

    def of(self, rig: str) -> list[Job]:
        return next((jobs for name, jobs in self.turns if name == rig), [])

    def last_turn(self, turn: tuple[str, list[Job]]) -> int:
        return self.served.index(turn[0]) if turn[0] in self.served else -1

    def in_turn(self) -> list[tuple[str, list[Job]]]:
        """Served longest ago first; of those never served, who waits longest."""
        return sorted(self.turns, key=self.last_turn)

    def remove(self, job: Job) -> None:
        if job in self.deferred:
            self.deferred.remove(job)
            return
        self.of(job.rig).remove(job)
        self.turns = [turn for turn in self.turns if turn[1]]

    def fresh(self, rig: str, life: float | None, deferred: bool = False) -> Job:
        return Job(rig, self.now, float("inf") if life is None else self.now + life, deferred)

    def waiting(self) -> list[Job]:
        return [job for _, jobs in self.turns for job in jobs] + self.deferred

    def pushed(self, job: Job) -> list[Dropped[Job]]:
        """What a new job drives out."""
        gone = [each for each in self.deferred if each.rig == job.rig]
        if job.deferred:
            self.deferred.append(job)
        else:
            if not self.of(job.rig):
                self.turns.append((job.rig, []))
            self.of(job.rig).append(job)
        for each in gone:
            self.remove(each)
        if not job.deferred and len(self.of(job.rig)) > self.batcher.per_rig:
            gone.append(self.of(job.rig)[0])
            self.remove(gone[-1])
        elif len(self.waiting()) > self.batcher.capacity:
            most = max((len(jobs) for _, jobs in self.turns), default=0)
            full = [jobs for _, jobs in self.in_turn() if len(jobs) == most]
            gone.append(self.deferred[0] if self.deferred else full[-1][0])
            self.remove(gone[-1])
        return [Dropped(each, "overload") for each in gone]

    @rule(step=STEPS)
    def wait(self, step: float) -> None:
        self.now += step

    @rule(rig=RIGS, life=st.none() | STEPS, deferred=st.booleans())
    def push(self, rig: str, life: float | None, deferred: bool) -> None:
        job = self.fresh(rig, life, deferred)
        assert self.batcher.push(job) == self.pushed(job)

    @rule(rig=RIGS, life=st.none() | STEPS)
    def replace_newest(self, rig: str, life: float | None) -> None:
        jobs, lone = self.of(rig), [each for each in self.deferred if each.rig == rig]
        newest = lone or jobs[-1:]
        assert self.batcher.newest(rig) is (newest[0] if newest else None)
        assert self.batcher.has_turn(rig) == bool(jobs)
        whole = self.fresh(rig, life)
        if lone:
            self.remove(lone[0])
            assert self.batcher.replace_newest(whole) == self.pushed(whole)
        elif jobs:
            jobs[-1] = whole
            assert self.batcher.replace_newest(whole) == []

    @rule()
    def expire(self) -> None:
        late = [job for job in self.waiting() if job.expires_at <= self.now]
        dropped = self.batcher.expire(self.now)
        assert {id(each.job) for each in dropped} == {id(job) for job in late}
        assert len(dropped) == len(late)
        assert {each.reason for each in dropped} <= {"late"}
        for job in late:
            self.remove(job)
        assert self.batcher.next_expiry > self.now

    @rule(in_flight=st.integers(0, 3))
    def take(self, in_flight: int) -> None:
        wanted: list[Job] = []
        if self.turns and in_flight <= self.batcher.ahead:
            waited = self.now >= self.in_turn()[0][1][0].queued_at + self.batcher.max_delay
            if in_flight == 0 or len(self.turns) >= self.batcher.max_size or waited:
                served = self.in_turn()[: self.batcher.max_size]
                wanted = [jobs.pop(0) for _, jobs in served]
                self.turns = [turn for turn in self.turns if turn[1]]
                for rig, _ in served:
                    self.served = [each for each in self.served if each != rig] + [rig]
        elif self.deferred and not self.turns and in_flight == 0:
            wanted = [self.deferred.pop(0)]
        assert self.batcher.take(self.now, in_flight) == wanted

    @invariant()
    def it_counts_what_waits_and_holds_little_more(self) -> None:
        if hasattr(self, "batcher"):
            waiting = self.waiting()
            assert len(self.batcher) == len(waiting)
            assert len(self.batcher._expiries) <= 2 * len(waiting) + 16
            first = self.in_turn()[0][1] if self.turns else self.deferred
            oldest = first[0].queued_at if first else self.now
            assert self.batcher.age(self.now) == self.now - oldest


@dataclass
class OnItsWay:
    sequence: int
    sent_at: float


class TwoEndsOfCredit(RuleBasedStateMachine):
    """An edge's window and a center's count, with frames and answers on their way between them, in order."""

    @initialize(granted=st.integers(1, 5), ceiling=st.integers(1, 8))
    def connect(self, granted: int, ceiling: int) -> None:
        self.window, self.credit = CreditWindow(ceiling), Credit(granted)
        self.window.grant(granted)
        self.size = min(granted, ceiling)
        self.now = 0.0
        self.sequence = 0
        self.frames: list[OnItsWay] = []
        self.held: list[OnItsWay] = []
        self.answers: list[OnItsWay] = []

    @rule(step=STEPS)
    def wait(self, step: float) -> None:
        self.now += step

    @rule()
    def send(self) -> None:
        on_their_way = len(self.frames) + len(self.held) + len(self.answers)
        assert self.window.open == (on_their_way < self.window.size)
        assert 1 <= self.window.size <= self.size
        self.sequence += 1
        if on_their_way < self.size:  # also one that was begun before the window narrowed
            self.window.send(self.sequence, self.now)
            self.frames.append(OnItsWay(self.sequence, self.now))
        else:
            with pytest.raises(ValueError, match="no credit for frame"):
                self.window.send(self.sequence, self.now)

    @precondition(lambda self: bool(getattr(self, "frames", None)))
    @rule()
    def arrive(self) -> None:
        frame = self.frames.pop(0)
        assert self.credit.take(), "who keeps the window has credit"
        assert self.credit.given_at <= frame.sent_at, "the bound on its age is one"
        self.held.append(frame)

    @precondition(lambda self: bool(getattr(self, "held", None)))
    @rule(data=st.data())
    def answer(self, data: Any) -> None:
        frame = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        self.credit.answer(self.now)
        self.answers.append(frame)

    @precondition(lambda self: bool(getattr(self, "answers", None)))
    @rule(late=st.booleans())
    def hear(self, late: bool) -> None:
        frame = self.answers.pop(0)
        self.window.came(late, self.now - frame.sent_at)
        assert self.window.acknowledge(frame.sequence, self.now) == self.now - frame.sent_at
        assert self.window.acknowledge(frame.sequence, self.now) is None

    @rule()
    def lose_the_link(self) -> None:
        assert self.window.close() == len(self.frames) + len(self.held) + len(self.answers)
        assert not self.window.open
        self.window.grant(self.credit.granted)
        self.credit = Credit(self.credit.granted)
        self.frames, self.held, self.answers = [], [], []

    @invariant()
    def both_count_alike(self) -> None:
        if hasattr(self, "window"):
            assert self.credit.unanswered == len(self.held)
            assert self.credit.exceeded == 0
            unanswered = [*self.frames, *self.held, *self.answers]
            oldest = min((each.sent_at for each in unanswered), default=None)
            assert self.window.overdue_at(3.0) == (None if oldest is None else oldest + 3.0)


@dataclass
class Kept:
    """One side of the matcher as a list, oldest first."""

    keep: int
    most_bytes: int
    items: list[tuple[float, FrameKey, int]] = field(default_factory=list)
    held: dict[int, int] = field(default_factory=dict)

    def take(self, key: FrameKey) -> int | None:
        found = next((item for _, each, item in self.items if each == key), None)
        self.items = [entry for entry in self.items if entry[1] != key]
        return found

    def put(self, key: FrameKey, item: int, now: float, held: int) -> None:
        self.take(key)
        self.items.append((now, key, item))
        self.held[item] = held
        if len(self.items) > self.keep:
            self.forget(lambda item: 1)
        while len(self.items) > 1 and sum(self.held[item] for _, _, item in self.items) > self.most_bytes:
            self.forget(self.held.__getitem__)

    def forget(self, counts: Callable[[int], int]) -> None:
        """The oldest of the camera that counts most."""
        cameras: dict[Any, list[tuple[float, FrameKey, int]]] = {}
        for entry in self.items:
            cameras.setdefault((entry[1].rig, entry[1].view), []).append(entry)
        sums = {camera: sum(counts(item) for _, _, item in entries) for camera, entries in cameras.items()}
        self.items.remove(min(entries[0] for camera, entries in cameras.items() if sums[camera] == max(sums.values())))


class Matching(RuleBasedStateMachine):
    """References and reconstructions in any order, from cameras that flood."""

    keys = Bundle("keys")
    max_age = 0.5

    @initialize(keep=st.integers(1, 6), most_bytes=st.integers(1, 20))
    def make(self, keep: int, most_bytes: int) -> None:
        self.matcher: Matcher[int, int] = Matcher(keep, self.max_age, most_bytes)
        self.references, self.reconstructions = Kept(keep, most_bytes), Kept(keep, most_bytes)
        self.now = 0.0
        self.items = 0

    @rule(target=keys, rig=RIGS, view=VIEWS, boot_id=st.integers(1, 2), sequence=st.integers(1, 4))
    def name(self, rig: str, view: View, boot_id: int, sequence: int) -> FrameKey:
        return FrameKey(rig, view, boot_id, sequence)

    def tick(self) -> int:
        self.now += 0.001  # no two at one moment, so that who is oldest is certain
        self.items += 1
        return self.items

    @rule(key=keys, held=HELD)
    def reference(self, key: FrameKey, held: int) -> None:
        item, wanted = self.tick(), self.reconstructions.take(key)
        if wanted is None:
            self.references.put(key, item, self.now, held)
        assert self.matcher.reference(replace(key), item, self.now, held) == wanted

    @rule(key=keys, held=HELD)
    def reconstruction(self, key: FrameKey, held: int) -> None:
        item, wanted = self.tick(), self.references.take(key)
        if wanted is None:
            self.reconstructions.put(key, item, self.now, held)
        assert self.matcher.reconstruction(replace(key), item, self.now, held) == wanted

    @rule(step=STEPS)
    def expire(self, step: float) -> None:
        self.now += step
        old = 0
        for side in (self.references, self.reconstructions):
            fresh = [entry for entry in side.items if entry[0] > self.now - self.max_age]
            old += len(side.items) - len(fresh)
            side.items = fresh
        assert self.matcher.expire(self.now) == old

    @invariant()
    def it_holds_what_the_lists_hold(self) -> None:
        if hasattr(self, "matcher"):
            assert len(self.matcher) == len(self.references.items) + len(self.reconstructions.items)


@pytest.mark.parametrize("machine", [Pairing, Batching, TwoEndsOfCredit, Matching])
def test_any_order_of_events_does_what_the_model_does(machine: type[RuleBasedStateMachine]) -> None:
    run(machine, settings=QUICK)  # type: ignore[no-untyped-call]
