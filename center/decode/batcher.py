"""Collects jobs of all rigs into batches for one decoder."""

from collections import deque
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Job(Protocol):
    """One thing to decode; times in seconds on one clock.

    rig         whose it is
    queued_at   when it was handed to the batcher
    expires_at  from when on nobody wants it; +inf is never
    """

    @property
    def rig(self) -> str: ...
    @property
    def queued_at(self) -> float: ...
    @property
    def expires_at(self) -> float: ...


J = TypeVar("J", bound=Job)


@dataclass(frozen=True, slots=True)
class Dropped(Generic[J]):
    """A job that will not be decoded. reason: "overload" or "late"."""

    job: J
    reason: str


class Batcher(Generic[J]):
    """A bounded queue that gives batches; no clock, no thread.

    max_size   jobs in a batch at most
    max_delay  how long a job waits for company while the decoder is busy and could take one batch more, seconds
    capacity   jobs that wait at most; one more drops the oldest
    per_rig    jobs of one rig that wait at most; one more drops its oldest. 1 always decodes the newest
    ahead      batches that may wait inside the decoder beside the one it works on

    An idle decoder gets what there is at once: waiting for company would only cost time. A batch holds one
    job of a rig at most: two at once would make its pictures later and come in jerks.
    """

    def __init__(self, max_size: int, max_delay: float, capacity: int, per_rig: int = 1, ahead: int = 0) -> None:
        self.max_size, self.max_delay, self.ahead = max_size, max_delay, ahead
        self.capacity, self.per_rig = capacity, per_rig
        self._queue: deque[J] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def push(self, job: J) -> list[Dropped[J]]:
        """Queue one job; gives back an older one that has to make room for it."""
        self._queue.append(job)
        of_rig = [other for other in self._queue if other.rig == job.rig]
        if len(of_rig) > self.per_rig:
            oldest = of_rig[0]
        elif len(self._queue) > self.capacity:
            oldest = self._queue[0]
        else:
            return []
        self._queue.remove(oldest)
        return [Dropped(oldest, "overload")]

    def expire(self, now: float) -> list[Dropped[J]]:
        """Drop what nobody wants any longer."""
        late = [Dropped(job, "late") for job in self._queue if now >= job.expires_at]
        if late:
            self._queue = deque(job for job in self._queue if now < job.expires_at)
        return late

    def take(self, now: float, in_flight: int) -> list[J]:
        """The next batch, oldest first, or nothing.

        in_flight  batches that the decoder holds, with the one it works on
        """
        if now < self.deadline(in_flight):
            return []
        batch = self._ready()
        for job in batch:
            self._queue.remove(job)
        return batch

    def deadline(self, in_flight: int) -> float:
        """From when on `take` gives something; +inf until another job or an idle decoder changes that."""
        if not self._queue or in_flight > self.ahead:
            return float("inf")
        if in_flight == 0 or len(self._ready()) == self.max_size:
            return float("-inf")
        return self._queue[0].queued_at + self.max_delay

    def _ready(self) -> list[J]:
        """The oldest job of each rig, as many as fit in a batch."""
        oldest: dict[str, J] = {}
        for job in self._queue:
            oldest.setdefault(job.rig, job)
        return list(oldest.values())[: self.max_size]

    def age(self, now: float) -> float:
        """How long the oldest job has waited, seconds; 0 when none waits."""
        return now - self._queue[0].queued_at if self._queue else 0.0
