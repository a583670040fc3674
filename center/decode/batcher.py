"""Collects jobs of all rigs into batches for one decoder."""

import heapq
import itertools
from collections import deque
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from wire.contract.outcomes import Reason
from wire.geometry import PictureSize


class Job(Protocol):
    """One thing to decode; times in seconds on one clock.

    rig         whose it is
    size        of its pictures: what is decoded at once has one size, and larger ones are more work
    queued_at   when it was handed to the batcher
    expires_at  from when on nobody wants it; +inf is never
    """

    @property
    def rig(self) -> str: ...
    @property
    def size(self) -> PictureSize: ...
    @property
    def queued_at(self) -> float: ...
    @property
    def expires_at(self) -> float: ...


J = TypeVar("J", bound=Job)

_LEFT_BEHIND: Final = 8
"""Jobs that the heap of expiries may still hold after they have left, beside as many as wait twice over."""


@dataclass(frozen=True, slots=True)
class Dropped(Generic[J]):
    """A job that will not be decoded. reason: "overload" or "late"."""

    job: J
    reason: Reason


class Batcher(Generic[J]):
    """A bounded queue that gives batches, one rig after the other; no clock, no thread. O(log n) per job.

    max_size   jobs in a batch at most; larger pictures count as several (`PictureSize.weight`), but one always goes
    max_delay  how long a job waits for company while the decoder is busy and could take one batch more, seconds
    capacity   jobs that wait at most; one more drops the oldest of the rig that has most of them, the last in turn
    per_rig    jobs of one rig that wait at most; one more drops its oldest. 1 always decodes the newest
    ahead      batches that may wait inside the decoder beside the one it works on

    An idle decoder gets what there is at once: waiting for company would only cost time. A batch holds one
    job of a rig at most: two at once would make its pictures later and arrive in bursts. A rig keeps its turn when a
    newer job takes the place of its older one, so that a rig of many frames gets no more than its share of the decoder.

    A batch holds one size: that of the first in turn, whom others of this size join. A rig whose pictures are the work
    of w small ones lets w - 1 turns pass afterwards while others wait: shares are of work, not of pictures. (Deficit
    round robin, Shreedhar and Varghese 1995, but paid afterwards: nobody waits for its first.)
    """

    def __init__(self, max_size: int, max_delay: float, capacity: int, per_rig: int = 1, ahead: int = 0) -> None:
        self.max_size, self.max_delay, self.ahead = max_size, max_delay, ahead
        self.capacity, self.per_rig = capacity, per_rig
        self._turns: dict[str, deque[J]] = {}  # rig -> its jobs, oldest first; rigs in the order of their turns
        self._expiries: list[tuple[float, int, J]] = []  # a heap; jobs that have left are skipped
        self._debts: dict[str, int] = {}  # rig -> turns that it still lets pass
        self._size = self._pushed = 0

    def __len__(self) -> int:
        return self._size

    def push(self, job: J) -> list[Dropped[J]]:
        """Queue one job; gives back an older one that has to make room for it."""
        waiting = self._turns.setdefault(job.rig, deque())
        waiting.append(job)
        self._size += 1
        self._watch(job)
        if len(waiting) > self.per_rig:
            return [Dropped(self._remove(job.rig), "overload")]
        if self._size > self.capacity:
            return [Dropped(self._remove(self._largest()), "overload")]
        return []

    def newest(self, rig: str) -> J | None:
        """The job of a rig that came last and still waits."""
        waiting = self._turns.get(rig)
        return waiting[-1] if waiting else None

    def replace_newest(self, job: J) -> None:
        """Let a job stand where the newest one of its rig stands."""
        self._turns[job.rig][-1] = job
        self._watch(job)

    def expire(self, now: float) -> list[Dropped[J]]:
        """Drop what nobody wants any longer."""
        late: list[Dropped[J]] = []
        while self._expiries and self._expiries[0][0] <= now:
            job = heapq.heappop(self._expiries)[2]
            waiting = self._turns.get(job.rig, ())
            if any(each is job for each in waiting):
                late.append(Dropped(self._remove(job.rig, job), "late"))
        return late

    def take(self, now: float, in_flight: int) -> list[J]:
        """The next batch, in the order of the rigs' turns, or nothing.

        in_flight  batches that the decoder holds, with the one it works on
        """
        if now < self.deadline(in_flight):
            return []
        while debt := self._debts.pop(first := next(iter(self._turns)), 0):
            if debt > 1:
                self._debts[first] = debt - 1
            self._let_pass(first)
        rigs = self._company()
        batch = [self._remove(rig) for rig in rigs]
        for rig, job in zip(rigs, batch, strict=True):
            if rig in self._turns:  # it has more: its next turn comes after everybody else's
                self._let_pass(rig)
            if job.size.weight > 1:
                self._debts[rig] = job.size.weight - 1
        if not self._turns or len(self._debts) > 2 * self.capacity + _LEFT_BEHIND:
            self._debts.clear()  # nobody waits, or those of rigs that are gone have piled up
        return batch

    def deadline(self, in_flight: int) -> float:
        """From when on `take` gives something; +inf until another job or an idle decoder changes that."""
        if not self._turns or in_flight > self.ahead:
            return float("inf")
        if in_flight == 0 or len(self._company()) >= self._most(self._next().size):
            return float("-inf")
        return self._next().queued_at + self.max_delay

    @property
    def next_expiry(self) -> float:
        """When `expire` is worth calling next; +inf when nothing expires."""
        return self._expiries[0][0] if self._expiries else float("inf")

    def age(self, now: float) -> float:
        """How long the job whose turn is next has waited, seconds; 0 when none waits."""
        return now - self._next().queued_at if self._turns else 0.0

    def _watch(self, job: J) -> None:
        """Remember when a job expires. The heap is made anew before jobs that have left make up most of it: they may
        live for weeks, and hold their symbols."""
        if job.expires_at == float("inf"):
            return
        self._pushed += 1
        heapq.heappush(self._expiries, (job.expires_at, self._pushed, job))
        if len(self._expiries) > 2 * self._size + _LEFT_BEHIND:
            waiting = {id(each) for jobs in self._turns.values() for each in jobs}
            self._expiries = [entry for entry in self._expiries if id(entry[2]) in waiting]
            heapq.heapify(self._expiries)

    def _company(self) -> list[str]:
        """Whose jobs are in the next batch: the first in turn, and others of its size that let no turn pass."""
        size = self._next().size
        ready = (rig for rig, jobs in self._turns.items() if jobs[0].size == size and rig not in self._debts)
        return list(itertools.islice(ready, self._most(size))) or [next(iter(self._turns))]

    def _most(self, size: PictureSize) -> int:
        """Jobs of a size in a batch at most."""
        return max(1, self.max_size // size.weight)

    def _let_pass(self, rig: str) -> None:
        self._turns[rig] = self._turns.pop(rig)

    def _next(self) -> J:
        return next(iter(self._turns.values()))[0]

    def _largest(self) -> str:
        """The rig with most jobs; of equals the last in turn."""
        last = next(reversed(self._turns))
        return last if self.per_rig == 1 else max(reversed(self._turns), key=lambda rig: len(self._turns[rig]))

    def _remove(self, rig: str, job: J | None = None) -> J:
        """Take a job out, by default the oldest of its rig."""
        waiting = self._turns[rig]
        if job is None:
            job = waiting.popleft()
        else:
            del waiting[next(at for at, each in enumerate(waiting) if each is job)]
        if not waiting:
            del self._turns[rig]
        self._size -= 1
        return job
