"""One whole system of real processes behind bad networks, shared by a module's tests."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from deploy.bench.faults.marked import Witness, environment
from deploy.bench.faults.proxy import Proxy, Weather
from deploy.bench.watch import PairWatcher, Sighting
from deploy.local.stack import Ports, Stack, metric, running

FPS = 4.0
PATIENCE = 30.0
"""Seconds that anything may take on a machine that has other work; what it takes on one that is idle stands in
docs/reliability.md."""
OLD = 3.0
"""Seconds: a picture that is older when it is first shown has waited in the network; 0.75 s are allowed, and a machine
with other work takes its time."""


@dataclass
class System:
    """near: between edges and emulator; far: between emulator and center."""

    stack: Stack
    near: Proxy
    far: Proxy
    watcher: PairWatcher
    witness: Witness

    def metric(self, service: str, name: str, **labels: str) -> float:
        """service: center, emulator or edge (the left one)."""
        ports = self.stack.ports
        port = {"center": ports.page, "emulator": ports.emulator_metrics, "edge": ports.left_metrics}[service]
        return metric(f"http://{ports.host}:{port}/metrics", f"vergence_{service}_{name}", **labels)

    def wait_for_a_pair(self) -> float:
        """Seconds until a pair that is captured from now on is shown."""
        back = self.watcher.wait_for_pair(time.time_ns(), PATIENCE)
        assert back is not None, "no pair any more"
        return back

    def new(self, since: float) -> list[Sighting]:
        """What was shown for the first time since a moment."""
        return [each for each in self.watcher.since(since) if not each.psnr_db]

    def check(self, since: float) -> None:
        """Nobody has died, no picture was another's, and none from before a fault came as a new one."""
        assert [process.name for process in self.stack.processes if process.exit_code() is not None] == []
        assert self.witness.wrong == []
        assert [each.age for each in self.new(since) if each.age > OLD] == []


def until(condition: Callable[[], bool]) -> None:
    """Wait until it holds."""
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.05)


@pytest.fixture(scope="module")
def started() -> Iterator[System]:
    ports, witness = Ports.free(), Witness(FPS)
    with ExitStack() as held:
        near, far = (held.enter_context(Proxy(port)) for port in (ports.emulator, ports.center))
        addresses = {"VERGENCE_EDGE__LINK__ADDRESS": near.address, "VERGENCE_EMULATOR__UPSTREAM": far.address}
        stack = held.enter_context(running(ports, print, {**environment(FPS), **addresses}))
        watcher = PairWatcher(f"{ports.host}:{ports.center}", witness.look)
        held.callback(watcher.close)
        yield System(stack, near, far, watcher, witness)


@pytest.fixture
def system(started: System) -> Iterator[System]:
    """With fine weather at the beginning and at the end."""
    started.wait_for_a_pair()
    yield started
    started.near.weather, started.far.weather = Weather(), Weather()
