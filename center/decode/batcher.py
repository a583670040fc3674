"""Collects jobs of all rigs into batches for one decoder."""

import heapq
import itertools
import math
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from center.decode.turns import Turns
from wire.contract.outcomes import Reason
from wire.geometry import PictureSize


class Job(Protocol):
    """One thing to decode; times in seconds on one clock.

    rig         whose it is
    size        of its pictures: what is decoded at once has one size, and larger ones are more work
    queued_at   when it was handed to the batcher
    expires_at  from when on nobody wants it; +inf is never
    deferred    one view whose partner was late, or dropped on its way: worth a decoder only when no other job waits
    """

    @property
    def rig(self) -> str: ...
    @property
    def size(self) -> PictureSize: ...
    @property
    def queued_at(self) -> float: ...
    @property
    def expires_at(self) -> float: ...
    @property
    def deferred(self) -> bool: ...


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

    max_size   jobs in a batch at most; of larger pictures so many that they have no more pixels, but one always goes
    max_delay  how long a job waits for company while the decoder is busy and could take one batch more, seconds
    capacity   jobs that wait at most; one more drops the oldest deferred one, or else the oldest of the rig that has
               most of them, of equals the one that was served last
    per_rig    jobs of one rig that wait at most; one more drops its oldest. 1 always decodes the newest
    ahead      batches that may wait inside the decoder beside the one it works on

    An idle decoder gets what there is at once: waiting for company would only cost time. A batch holds one
    job of a rig at most: two at once would make its pictures later and arrive in bursts. The rig that was served
    longest ago comes first: so one of many frames gets no more than its share of the decoder, and none is left out.

    Deferred jobs, one of a rig at most, stand beside the turns. Each is dropped as soon as its rig has a newer job: so
    an overloaded decoder spends nothing on half an instant, and nothing is shown out of order.

    A batch holds one size: that of the first in turn, whom others of this size join. A rig whose pictures are the work
    of w small ones (`PictureSize.weight`) lets w - 1 turns pass afterwards while others wait: shares are of work, not
    of pictures. (Deficit round robin, Shreedhar and Varghese 1995, but paid afterwards: nobody waits for its first.)
    """

    def __init__(self, max_size: int, max_delay: float, capacity: int, per_rig: int = 1, ahead: int = 0) -> None:
        self.max_size, self.max_delay, self.ahead = max_size, max_delay, ahead
        self.capacity, self.per_rig = capacity, per_rig
        self._turns = Turns()
        self._jobs: dict[str, deque[J]] = {}  # of the rigs that wait for their turn, oldest first
        self._deferred: OrderedDict[str, J] = OrderedDict()  # in the order in which they came
        self._expiries: list[tuple[float, int, J]] = []  # a heap; jobs that have left are skipped
        self._debts: dict[str, int] = {}  # rig -> turns that it still lets pass
        self._size = self._pushed = 0

    def __len__(self) -> int:
        return self._size

    def push(self, job: J) -> list[Dropped[J]]:
        """Queue one job; gives back older ones that have to make room for it."""
        outdone = self._deferred.pop(job.rig, None)
        dropped: list[Dropped[J]] = [] if outdone is None else [Dropped(outdone, "overload")]
        self._size += 1 - len(dropped)
        if job.deferred:
            self._deferred[job.rig] = job
        else:
            self._append(job)
        self._watch(job)
        if not job.deferred and len(self._jobs[job.rig]) > self.per_rig:
            dropped.append(Dropped(self._remove(job.rig), "overload"))
        elif self._size > self.capacity:
            victim = self._take_deferred() if self._deferred else self._remove(self._turns.most())
            dropped.append(Dropped(victim, "overload"))
        return dropped

    def has_turn(self, rig: str) -> bool:
        """Whether a job of this rig that is not deferred waits."""
        return rig in self._turns

    def newest(self, rig: str) -> J | None:
        """The job of a rig that came last and still waits."""
        if (deferred := self._deferred.get(rig)) is not None:
            return deferred
        waiting = self._jobs.get(rig)
        return waiting[-1] if waiting else None

    def replace_newest(self, job: J) -> list[Dropped[J]]:
        """Let a job that is not deferred stand where the newest one of its rig stands; where that was deferred it gets
        a turn, and the older jobs that have to make room are given back."""
        if self._deferred.pop(job.rig, None) is not None:
            self._size -= 1
            return self.push(job)
        self._jobs[job.rig][-1] = job
        self._watch(job)
        return []

    def expire(self, now: float) -> list[Dropped[J]]:
        """Drop what nobody wants any longer."""
        late: list[Dropped[J]] = []
        while self._expiries and self._expiries[0][0] <= now:
            job = heapq.heappop(self._expiries)[2]
            waiting = self._jobs.get(job.rig, ())
            if self._deferred.get(job.rig) is job:
                del self._deferred[job.rig]
                self._size -= 1
                late.append(Dropped(job, "late"))
            elif any(each is job for each in waiting):
                late.append(Dropped(self._remove(job.rig, job), "late"))
        return late

    def take(self, now: float, in_flight: int, soon_at: float = math.inf) -> list[J]:
        """The next batch, in the order of the rigs' turns, or nothing.

        in_flight  batches that the decoder holds, with the one it works on
        soon_at    from when on it may hold one more because it will be free in a moment, seconds
        """
        if now < self.deadline(in_flight, soon_at):
            return []
        if not self._turns:
            return [self._take_deferred()]  # no more of them: whole pairs may come meanwhile
        while debt := self._debts.pop(first := self._turns.first(), 0):
            if debt > 1:
                self._debts[first] = debt - 1
            self._turns.serve(first)  # it lets this turn pass
        batch: list[J] = []
        for rig in self._company(first):
            self._turns.serve(rig)
            batch.append(self._remove(rig))
            if (weight := batch[-1].size.weight) > 1:
                self._debts[rig] = weight - 1
        if not self._turns or len(self._debts) > 2 * self.capacity + _LEFT_BEHIND:
            self._debts.clear()  # nobody waits, or those of rigs that are gone have piled up
        return batch

    def deadline(self, in_flight: int, soon_at: float = math.inf) -> float:
        """From when on `take` gives something; +inf until another job or an idle decoder changes that."""
        if not self._turns:
            return float("-inf") if self._deferred and in_flight == 0 else float("inf")
        if in_flight > self.ahead:
            return soon_at if in_flight == self.ahead + 1 else math.inf
        if in_flight == 0 or self._is_full():
            return float("-inf")
        return self._next().queued_at + self.max_delay

    @property
    def next_size(self) -> PictureSize | None:
        """Of the pictures of the batch that `take` would give; None if nothing waits."""
        return self._next().size if self._size else None

    @property
    def next_expiry(self) -> float:
        """When `expire` is worth calling next; +inf when nothing expires."""
        return self._expiries[0][0] if self._expiries else float("inf")

    def age(self, now: float) -> float:
        """How long the job whose turn is next has waited, seconds; 0 when none waits."""
        return now - self._next().queued_at if self._size else 0.0

    def _watch(self, job: J) -> None:
        """Remember when a job expires. The heap is made anew before jobs that have left make up most of it: they may
        live for weeks, and hold their symbols."""
        if job.expires_at == float("inf"):
            return
        self._pushed += 1
        heapq.heappush(self._expiries, (job.expires_at, self._pushed, job))
        if len(self._expiries) > 2 * self._size + _LEFT_BEHIND:
            jobs = itertools.chain(self._deferred.values(), *self._jobs.values())
            waiting = {id(each) for each in jobs}
            self._expiries = [entry for entry in self._expiries if id(entry[2]) in waiting]
            heapq.heapify(self._expiries)

    def _company(self, first: str) -> list[str]:
        """Whose jobs are in the next batch: the first in turn, and those of its size that let no turn pass."""
        most = self._most()
        size = self._jobs[first][0].size
        if most == 1:
            return [first]
        ready = [rig for rig, jobs in self._jobs.items() if jobs[0].size == size and rig not in self._debts]
        return self._turns.in_order(ready, most)

    def _is_full(self) -> bool:
        """Whether as many of the first one's size wait as go into a batch."""
        size, most = self._next().size, self._most()
        return len(self._turns) >= most and sum(jobs[0].size == size for jobs in self._jobs.values()) >= most

    def _most(self) -> int:
        """Jobs in a batch of the first one's size at most."""
        return self._next().size.most_in(self.max_size)

    def _next(self) -> J:
        return self._jobs[self._first()][0] if self._turns else next(iter(self._deferred.values()))

    def _first(self) -> str:
        """Who is next when all have let pass the turns that they owe: who owes fewest, of equals the first in turn."""
        first = self._turns.first()
        if first not in self._debts:
            return first
        return min(self._turns.in_order(self._jobs, len(self._jobs)), key=lambda rig: self._debts.get(rig, 0))

    def _append(self, job: J) -> None:
        """Put a job behind those of its rig."""
        waiting = self._jobs.setdefault(job.rig, deque())
        waiting.append(job)
        self._turns.set_jobs(job.rig, len(waiting))

    def _take_deferred(self) -> J:
        """Take the oldest deferred job out."""
        self._size -= 1
        return self._deferred.popitem(last=False)[1]

    def _remove(self, rig: str, job: J | None = None) -> J:
        """Take a job out of the turns, by default the oldest of its rig."""
        waiting = self._jobs[rig]
        if job is None:
            job = waiting.popleft()
        else:
            del waiting[next(at for at, each in enumerate(waiting) if each is job)]
        self._turns.set_jobs(rig, len(waiting))
        if not waiting:
            del self._jobs[rig]
        self._size -= 1
        return job
