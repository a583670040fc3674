"""Processes that are killed, told to stop or frozen, with two rigs and a witness who checks every picture."""

import random
import resource
import time
from collections.abc import Iterator

import pytest

from deploy.bench.faults.marked import RIGS, Witness, environment
from deploy.bench.faults.strike import EXIT_SECONDS, LIMIT_SECONDS, How, strike
from deploy.bench.watch import PairWatcher
from deploy.local.stack import Ports, Stack, running

FPS = 2.0
STRIKES = [("center", How.TERM), ("emulator", How.KILL), ("edge-right@other", How.KILL)]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running(Ports.free(), print, environment(FPS), more_rigs=RIGS[1:]) as started:
        yield started


@pytest.fixture(scope="module")
def witness() -> Witness:
    return Witness(FPS)


@pytest.fixture(scope="module")
def watcher(stack: Stack, witness: Witness) -> Iterator[PairWatcher]:
    watching = PairWatcher(f"{stack.ports.host}:{stack.ports.center}", witness.look)
    yield watching
    watching.close()


@pytest.mark.parametrize(("name", "how"), STRIKES)
def test_a_process_that_ends_at_any_moment_comes_back_and_no_picture_is_wrong(
    stack: Stack, watcher: PairWatcher, witness: Witness, name: str, how: How
) -> None:
    moments = random.Random(f"{name} {how}")
    time.sleep(moments.uniform(0.0, 1.0 / FPS))
    done = strike(stack, watcher, name, how, moments.uniform(0.05, 0.5), RIGS, FPS)
    assert done.back < 4 * LIMIT_SECONDS  # within LIMIT_SECONDS where the machine has nothing else to do
    assert done.gone < EXIT_SECONDS
    assert done.died == 0
    assert witness.wrong == []
    assert witness.shown > 0


@pytest.mark.parametrize("name", ["center", "emulator"])
def test_after_a_standstill_nothing_from_before_is_shown_as_new(
    stack: Stack, watcher: PairWatcher, witness: Witness, name: str
) -> None:
    began, standstill = time.monotonic(), 4.0
    done = strike(stack, watcher, name, How.STOP, standstill, RIGS, FPS)
    assert done.died == 0
    assert [each.age for each in watcher.since(began) if not each.psnr_db and each.age > standstill] == []
    assert witness.wrong == []


def test_a_center_without_memory_shows_nothing_wrong_and_comes_back(
    stack: Stack, watcher: PairWatcher, witness: Witness
) -> None:
    """Whether it lives on or ends: what starts services starts it again, as systemd does."""
    center = stack.process("center")
    assert center.pid is not None
    with open(f"/proc/{center.pid}/statm", encoding="ascii") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    resource.prlimit(center.pid, resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))
    time.sleep(2.0)
    if center.exit_code() is None:
        resource.prlimit(center.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    stack.revive(print)
    for rig in RIGS:
        assert watcher.wait_for_pair(time.time_ns(), 4 * LIMIT_SECONDS, rig) is not None
    assert witness.wrong == []
