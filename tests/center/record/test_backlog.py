"""What waits for the disk, in things and in bytes."""

import threading
from dataclasses import dataclass

import numpy as np

from center.decode.jobs import Decoded, Job
from center.output.quality import FrameKey
from center.output.results import DecodedPair, ViewResult
from center.record.backlog import Backlog
from center.record.messages import DecodedBatch, Measured
from deploy.bench.record import synthetic_batch
from wire.views import View


@dataclass(frozen=True)
class Thing:
    nbytes: int
    name: int = 0


def test_it_gives_what_came_first() -> None:
    backlog: Backlog[Thing] = Backlog(4, 100)
    assert all(backlog.put(Thing(1, name)) for name in (1, 2, 3))
    assert len(backlog) == 3
    assert [thing.name for _ in range(3) if (thing := backlog.get(0.0))] == [1, 2, 3]
    assert backlog.get(0.0) is None


def test_it_takes_no_more_than_its_number() -> None:
    backlog: Backlog[Thing] = Backlog(2, 100)
    assert [backlog.put(Thing(1)) for _ in range(3)] == [True, True, False]
    backlog.get(0.0)
    assert backlog.put(Thing(1))


def test_it_takes_no_more_than_its_bytes() -> None:
    backlog: Backlog[Thing] = Backlog(100, 10)
    assert [backlog.put(Thing(4)) for _ in range(3)] == [True, True, False]
    assert backlog.put(Thing(2)), "just full"
    assert not backlog.put(Thing(1))
    backlog.get(0.0)
    assert [backlog.put(Thing(4)), backlog.put(Thing(1))] == [True, False]


def test_one_that_is_larger_than_all_of_it_fits_where_nothing_waits() -> None:
    backlog: Backlog[Thing] = Backlog(4, 10)
    assert backlog.put(Thing(50))
    assert not backlog.put(Thing(1))
    assert backlog.get(0.0) == Thing(50)
    assert backlog.put(Thing(50)), "nothing of the first is counted any more"


def test_who_waits_is_woken() -> None:
    backlog: Backlog[Thing] = Backlog(1, 1)
    got: list[Thing | None] = []
    waiting = threading.Thread(target=lambda: got.append(backlog.get(20.0)))
    waiting.start()
    assert backlog.put(Thing(1, 7))
    waiting.join(20.0)
    assert got == [Thing(1, 7)]


def arrays_of(job: Job, views: tuple[Decoded, ...]) -> int:
    """What a decoded job holds in memory, array by array. The decoder's output is one array for both views."""
    frames = sum(each.symbols.nbytes + each.reliability.nbytes for each in job.frames)
    messages = sum(len(each.message.SerializeToString()) for each in job.frames if each.message)
    return frames + messages + sum(each.exact.nbytes + each.picture.nbytes for each in views)


def test_a_batch_counts_what_it_holds() -> None:
    jobs, decoded, began, ended = synthetic_batch(1, 1)
    batch = DecodedBatch(1, jobs, decoded, began, ended)
    held = sum(arrays_of(job, views) for job, views in zip(jobs, decoded, strict=True))
    assert batch.nbytes == held
    assert held > 2 * 128 * 256 * 3 * 5, "float32 and 8 bits of every view"


def test_a_batch_counts_the_view_that_never_came_too() -> None:
    """The decoder makes a picture of it all the same, in one array with the other."""
    jobs, decoded, began, ended = synthetic_batch(1, 1)
    alone = [Job(jobs[0].frames[:1], 0.0)], [decoded[0][:1]]
    batch = DecodedBatch(1, *alone, began, ended)
    assert batch.nbytes == arrays_of(alone[0][0], alone[1][0]) + decoded[0][0].exact.nbytes


def test_figures_count_pictures_and_references() -> None:
    picture = np.zeros((128, 256, 3), np.uint8)
    views = tuple(ViewResult(view, 1, 5.0, picture, 0.1, {}, 30.0, 0.9, reference=picture) for view in View)
    pair = DecodedPair("lab", 1, 2, False, views)
    assert Measured(pair, [FrameKey("lab", View.LEFT, 1, 1)], 0.0).nbytes == 4 * picture.nbytes
