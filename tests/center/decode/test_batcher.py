import random
from dataclasses import dataclass

from center.decode.batcher import Batcher, Dropped
from wire.geometry import DEFAULT_SIZE, LARGEST_SIZE, PictureSize

FOURFOLD = PictureSize(256, 512)


@dataclass(frozen=True)
class Task:
    queued_at: float
    expires_at: float = float("inf")
    rig: str = "lab"
    size: PictureSize = DEFAULT_SIZE
    deferred: bool = False


def batcher(max_size: int = 3, max_delay: float = 0.010, capacity: int = 5, ahead: int = 1) -> Batcher[Task]:
    return Batcher(max_size, max_delay, capacity, per_rig=3, ahead=ahead)


def test_an_idle_decoder_gets_what_there_is_at_once() -> None:
    queue = batcher()
    queue.push(Task(0.0))
    assert queue.take(now=0.0, in_flight=0) == [Task(0.0)]
    assert queue.take(now=0.0, in_flight=0) == []


def test_a_batch_is_never_larger_than_its_maximum_and_oldest_first() -> None:
    queue = batcher()
    tasks = [Task(float(at), rig=f"rig-{at}") for at in range(5)]
    for task in tasks:
        queue.push(task)
    assert queue.take(now=9.0, in_flight=0) == tasks[:3]
    assert queue.take(now=9.0, in_flight=0) == tasks[3:]


def test_a_batch_holds_one_job_of_a_rig() -> None:
    queue = batcher()
    for at, rig in enumerate(["lab", "lab", "roof", "lab"]):
        queue.push(Task(float(at), rig=rig))
    taken = [[(job.rig, job.queued_at) for job in queue.take(now=9.0, in_flight=0)] for _ in range(4)]
    assert taken == [[("lab", 0.0), ("roof", 2.0)], [("lab", 1.0)], [("lab", 3.0)], []]


def test_while_the_decoder_is_busy_a_job_waits_for_company_but_not_too_long() -> None:
    queue = batcher()
    queue.push(Task(0.0))
    assert queue.take(now=0.0, in_flight=1) == []
    assert queue.deadline(in_flight=1) == 0.010
    assert queue.take(now=0.010, in_flight=1) == [Task(0.0)]


def test_a_full_batch_waits_for_nothing() -> None:
    queue = batcher()
    for number in range(3):
        queue.push(Task(0.0, rig=f"rig-{number}"))
    assert len(queue.take(now=0.0, in_flight=1)) == 3


def test_no_more_batches_lie_ahead_than_allowed() -> None:
    queue = batcher(ahead=0)
    for number in range(3):
        queue.push(Task(0.0, rig=f"rig-{number}"))
    assert queue.take(now=9.0, in_flight=1) == []
    assert queue.deadline(in_flight=1) == float("inf")


def test_overload_drops_the_oldest() -> None:
    queue = batcher(capacity=2)
    assert queue.push(Task(0.0)) == []
    assert queue.push(Task(1.0)) == []
    assert queue.push(Task(2.0)) == [Dropped(Task(0.0), "overload")]
    assert len(queue) == 2


def test_a_busy_rig_drops_its_own_oldest_and_not_that_of_another() -> None:
    queue = batcher()
    queue.push(Task(0.0, rig="roof"))
    for at in (1.0, 2.0, 3.0):
        assert queue.push(Task(at)) == []
    assert queue.push(Task(4.0)) == [Dropped(Task(1.0), "overload")]


def test_what_is_too_old_is_dropped_before_decoding() -> None:
    queue = batcher()
    queue.push(Task(0.0, expires_at=0.5))
    queue.push(Task(0.1))
    assert queue.expire(now=0.4) == []
    assert queue.expire(now=0.5) == [Dropped(Task(0.0, expires_at=0.5), "late")]
    assert queue.take(now=0.5, in_flight=0) == [Task(0.1)]


def test_the_age_is_that_of_the_oldest() -> None:
    queue = batcher()
    assert queue.age(now=5.0) == 0.0
    queue.push(Task(1.0))
    queue.push(Task(4.0))
    assert queue.age(now=5.0) == 4.0


def test_a_rig_keeps_its_turn_when_a_newer_job_takes_the_place_of_its_older_one() -> None:
    queue: Batcher[Task] = Batcher(max_size=1, max_delay=0.0, capacity=8)
    queue.push(Task(0.0, rig="busy"))
    queue.push(Task(0.1, rig="calm"))
    assert queue.push(Task(0.2, rig="busy")) == [Dropped(Task(0.0, rig="busy"), "overload")]
    assert queue.take(now=1.0, in_flight=0) == [Task(0.2, rig="busy")]
    queue.push(Task(0.3, rig="busy"))
    assert queue.take(now=1.0, in_flight=0) == [Task(0.1, rig="calm")]


def test_one_rig_beside_thirty_that_send_ten_times_as_much_gets_its_share() -> None:
    queue: Batcher[Task] = Batcher(max_size=1, max_delay=0.0, capacity=64)
    served = {"victim": 0, "flood": 0}
    for tick in range(3_100):  # the decoder takes one job a tick; the flood pushes ten in that time
        for number in range(10):
            queue.push(Task(float(tick), rig=f"flood-{(10 * tick + number) % 30}"))
        if tick % 31 == 0:
            queue.push(Task(float(tick), rig="victim"))
        for job in queue.take(now=float(tick), in_flight=0):
            served[job.rig.split("-")[0]] += 1
    assert served["victim"] >= 98, "of the 100 that it sent"


def test_a_rig_with_more_jobs_waits_for_the_others_after_each() -> None:
    queue: Batcher[Task] = Batcher(max_size=1, max_delay=0.0, capacity=8, per_rig=2)
    for at, rig in ((0.0, "a"), (0.1, "a"), (0.2, "b")):
        queue.push(Task(at, rig=rig))
    assert [queue.take(now=1.0, in_flight=0)[0].rig for _ in range(3)] == ["a", "b", "a"]


def test_a_full_queue_drops_from_the_rig_that_has_most() -> None:
    queue: Batcher[Task] = Batcher(max_size=1, max_delay=0.0, capacity=3, per_rig=3)
    for at, rig in ((0.0, "a"), (0.1, "a"), (0.2, "b")):
        queue.push(Task(at, rig=rig))
    assert queue.push(Task(0.3, rig="c")) == [Dropped(Task(0.0, rig="a"), "overload")]


def test_the_newest_job_of_a_rig_can_be_completed_in_its_place() -> None:
    queue: Batcher[Task] = Batcher(max_size=1, max_delay=0.0, capacity=3)
    queue.push(Task(0.0, rig="a"))
    queue.push(Task(0.1, rig="b"))
    assert queue.newest("a") == Task(0.0, rig="a")
    assert queue.newest("z") is None
    queue.replace_newest(Task(0.0, expires_at=9.0, rig="a"))
    assert len(queue) == 2
    assert queue.take(now=1.0, in_flight=0) == [Task(0.0, expires_at=9.0, rig="a")]
    assert queue.expire(now=10.0) == [], "it is gone, though its expiry is remembered"


def test_a_batch_holds_one_size_that_of_the_first_in_turn() -> None:
    queue: Batcher[Task] = Batcher(max_size=8, max_delay=0.0, capacity=16)
    sizes = [DEFAULT_SIZE, FOURFOLD, DEFAULT_SIZE, FOURFOLD, PictureSize(128, 272)]
    for at, size in enumerate(sizes):
        queue.push(Task(float(at), rig=f"rig-{at}", size=size))
    taken = [[job.rig for job in queue.take(now=9.0, in_flight=0)] for _ in range(4)]
    assert taken == [["rig-0", "rig-2"], ["rig-1", "rig-3"], ["rig-4"], []]


def test_larger_pictures_fill_a_batch_sooner() -> None:
    for size, at_once in (
        (DEFAULT_SIZE, 4),
        (PictureSize(128, 272), 3),
        (PictureSize(128, 512), 2),
        (FOURFOLD, 1),
        (LARGEST_SIZE, 1),
    ):
        queue: Batcher[Task] = Batcher(max_size=4, max_delay=0.1, capacity=16, ahead=1)
        for at in range(5):
            queue.push(Task(float(at), rig=f"rig-{at}", size=size))
        assert queue.deadline(in_flight=1) == float("-inf"), "it is full, and need not wait for company"
        assert len(queue.take(now=0.0, in_flight=1)) == at_once


def test_a_batch_that_only_others_of_another_size_could_fill_waits_for_company() -> None:
    queue: Batcher[Task] = Batcher(max_size=2, max_delay=0.1, capacity=16, ahead=1)
    queue.push(Task(0.0, rig="small"))
    queue.push(Task(0.0, rig="large", size=FOURFOLD))
    assert queue.deadline(in_flight=1) == 0.1
    queue.push(Task(0.0, rig="another"))
    assert [job.rig for job in queue.take(now=0.0, in_flight=1)] == ["small", "another"]


def served_work(sizes: dict[str, PictureSize], max_size: int, ticks: int) -> dict[str, int]:
    """Work done for rigs that always have a newer picture waiting, in pictures of 128x256."""
    queue: Batcher[Task] = Batcher(max_size=max_size, max_delay=0.0, capacity=16)
    served = dict.fromkeys(sizes, 0)
    for tick in range(ticks):
        for rig, size in sizes.items():
            queue.push(Task(float(tick), rig=rig, size=size))
        batch = queue.take(now=float(tick), in_flight=0)
        assert len({job.size for job in batch}) == 1
        for job in batch:
            served[job.rig] += job.size.weight
    return served


def test_rigs_of_small_and_large_pictures_get_equal_shares_of_work() -> None:
    served = served_work({"a": DEFAULT_SIZE, "large": LARGEST_SIZE, "b": DEFAULT_SIZE, "mid": FOURFOLD}, 1, 6_000)
    assert max(served.values()) <= 1.02 * min(served.values())


def test_a_rig_of_pictures_that_are_hardly_larger_gets_its_turns() -> None:
    """Its pictures counted as two: it got half of them."""
    sizes = {"a": DEFAULT_SIZE, "b": PictureSize(128, 272)}
    served = served_work(sizes, 1, 1_000)
    assert served["a"] == served["b"] == 500


def test_no_size_starves_beside_many_of_another() -> None:
    rigs = {f"small-{number}": DEFAULT_SIZE for number in range(12)} | {
        "large": LARGEST_SIZE,
        "odd": PictureSize(144, 272),
    }
    served = served_work(rigs, max_size=4, ticks=4_000)
    least, most = min(served.values()), max(served.values())
    assert least >= 0.5 * most, served
    flood = {f"large-{number}": LARGEST_SIZE for number in range(12)} | {"small": DEFAULT_SIZE}
    served = served_work(flood, max_size=4, ticks=4_000)
    assert served["small"] >= 0.9 * min(served[rig] for rig in flood if rig != "small")


def test_a_large_picture_that_is_alone_waits_for_nobody() -> None:
    queue: Batcher[Task] = Batcher(max_size=4, max_delay=0.0, capacity=16)
    for at in range(5):
        queue.push(Task(float(at), rig="large", size=LARGEST_SIZE))
        assert [job.queued_at for job in queue.take(now=float(at), in_flight=0)] == [float(at)]


def test_the_size_of_the_next_batch_is_known_whatever_rigs_owe() -> None:
    queue: Batcher[Task] = Batcher(max_size=1, max_delay=0.0, capacity=16)
    assert queue.next_size is None
    draw, seen = random.Random(3), set[PictureSize]()
    sizes = {"a": DEFAULT_SIZE, "b": DEFAULT_SIZE, "mid": FOURFOLD, "large": LARGEST_SIZE}
    for tick in range(2_000):
        for rig in draw.sample(sorted(sizes), draw.randint(0, 2)):
            queue.push(Task(float(tick), rig=rig, size=sizes[rig], deferred=draw.random() < 0.1))
        told = queue.next_size
        assert queue.next_size == told, "to ask changes nothing"
        taken = queue.take(now=float(tick), in_flight=0)
        assert told == (taken[0].size if taken else None)
        seen |= {job.size for job in taken}
    assert seen == set(sizes.values())


def test_what_rigs_owe_is_forgotten_with_them() -> None:
    queue: Batcher[Task] = Batcher(max_size=4, max_delay=0.0, capacity=4)
    queue.push(Task(0.0, rig="stays"))
    for number in range(1_000):
        queue.push(Task(0.0, rig=f"goes-{number}", size=LARGEST_SIZE))
        queue.push(Task(0.0, rig="stays"))
        queue.take(now=0.0, in_flight=0)
        queue.push(Task(0.0, rig="stays"))
    assert len(queue._debts) <= 16


def test_a_deferred_job_waits_until_no_other_does_and_the_decoder_is_idle() -> None:
    queue = batcher(ahead=1)
    lone, pair = Task(0.0, rig="a", deferred=True), Task(0.1, rig="b")
    queue.push(lone)
    assert queue.deadline(in_flight=1) == float("inf")
    assert queue.take(now=9.0, in_flight=1) == []
    queue.push(pair)
    assert queue.take(now=9.0, in_flight=0) == [pair], "alone, though there is room beside it"
    assert queue.deadline(in_flight=0) == float("-inf")
    assert queue.take(now=9.0, in_flight=0) == [lone]
    assert queue.age(9.0) == len(queue) == 0


def test_deferred_jobs_go_one_at_a_time_so_that_a_pair_waits_for_one_of_them_at_most() -> None:
    queue = batcher()
    tasks = [Task(float(at), rig=f"rig-{at}", deferred=True) for at in range(3)]
    for task in tasks:
        queue.push(task)
    assert [queue.take(now=9.0, in_flight=0) for _ in range(4)] == [[task] for task in tasks] + [[]]


def test_a_newer_job_of_its_rig_drops_a_deferred_one_and_no_pair_makes_room_for_it() -> None:
    queue: Batcher[Task] = Batcher(max_size=1, max_delay=0.0, capacity=8)
    first, lone, second, newest = Task(0.0), Task(0.1, deferred=True), Task(0.2, deferred=True), Task(0.3)
    assert queue.push(first) == []
    assert queue.push(lone) == [], "the pair stays"
    assert queue.push(second) == [Dropped(lone, "overload")]
    assert queue.push(newest) == [Dropped(second, "overload"), Dropped(first, "overload")]
    assert queue.take(now=1.0, in_flight=0) == [newest]


def test_a_full_queue_drops_deferred_jobs_first() -> None:
    queue = batcher(capacity=2)
    lone = Task(0.0, rig="a", deferred=True)
    queue.push(lone)
    assert queue.push(Task(0.1, rig="b")) == []
    assert queue.push(Task(0.2, rig="c")) == [Dropped(lone, "overload")]


def test_a_deferred_job_that_is_completed_gets_a_turn() -> None:
    queue: Batcher[Task] = Batcher(max_size=1, max_delay=0.0, capacity=8)
    older, lone, whole = Task(0.0), Task(0.1, deferred=True), Task(0.1, expires_at=5.0)
    queue.push(older)
    queue.push(lone)
    assert queue.newest("lab") == lone
    assert queue.replace_newest(whole) == [Dropped(older, "overload")]
    assert queue.has_turn("lab")
    assert queue.take(now=1.0, in_flight=0) == [whole]


def test_a_deferred_job_grows_too_old_as_any_other() -> None:
    queue = batcher()
    queue.push(Task(0.0, expires_at=0.5, deferred=True))
    assert queue.expire(now=0.5) == [Dropped(Task(0.0, expires_at=0.5, deferred=True), "late")]
    assert len(queue) == 0
