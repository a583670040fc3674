"""Clocks that jump and drift while a stream lives, by libfaketime (Debian: faketime); where it is missing, a skip."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.bench.faults.marked import environment
from deploy.bench.watch import PairWatcher
from deploy.local.stack import Ports, Stack
from edge.camera.sources.watermark import Mark, read
from tests.faults.conftest import until
from wire.contract.arrays import unpack_picture
from wire.v1 import pair_service_pb2 as pairs_pb2
from wire.views import View

FPS = 2.0
SETTLED = 5
LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)


class Ticks:
    """The instants of both views of every pair, as their marks say: the left camera's clock and the right one's."""

    def __init__(self) -> None:
        self.apart: list[int] = []

    def look(self, pair: pairs_pb2.WatchPairsResponse) -> None:
        marks = {View.from_proto(each.view): read(unpack_picture(each.picture)) for each in pair.views}
        left, right = marks.get(View.LEFT), marks.get(View.RIGHT)
        if isinstance(left, Mark) and isinstance(right, Mark):
            self.apart.append(left.tick - right.tick)


class Clocks:
    """Of the center and the left edge; each may be set while it runs."""

    def __init__(self, folder: Path) -> None:
        self._files = {name: folder / name for name in ("center", "edge-left")}
        for name in self._files:
            self.set(name, "+0")

    def set(self, name: str, offset: str) -> None:
        """offset: as libfaketime reads it, such as `+3600` or `+0 x1.001`."""
        new = self._files[name].with_suffix(".new")
        new.write_text(offset + "\n")
        new.replace(self._files[name])

    def environment(self, name: str) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._files[name]),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
        }


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Ticks, Clocks]]:
    if LIBRARY is None:
        pytest.skip("libfaketime is not installed (Debian: faketime); where it is, clocks are set while streams live")
    clocks, ticks = Clocks(tmp_path_factory.mktemp("clocks")), Ticks()
    stack = Stack(Ports.free(), tmp_path_factory.mktemp("logs"), environment(FPS))
    for process in stack.processes:
        if process.name in ("center", "edge-left"):
            process.environment = {**process.environment, **clocks.environment(process.name)}
    try:
        stack.start(print)
        watcher = PairWatcher(f"{stack.ports.host}:{stack.ports.center}", ticks.look)
        yield stack, ticks, clocks
        watcher.close()
    finally:
        stack.stop()


def settle(ticks: Ticks, apart: int) -> None:
    """Wait until the last pairs, one after the other, are of views that are so many instants apart by their marks.

    Not at once: on a machine with other work frames are late by more than an instant, and a clock is learnt from the
    fastest of them.
    """
    ticks.apart.clear()
    until(lambda: ticks.apart[-SETTLED:] == [apart] * SETTLED)


@pytest.mark.parametrize("jump", [-3600])
def test_a_camera_s_clock_that_is_set_parts_no_pair(system: tuple[Stack, Ticks, Clocks], jump: int) -> None:
    """Its marks tell its own clock, so that views of one instant are apart by just the jump."""
    _, ticks, clocks = system
    settle(ticks, 0)
    clocks.set("edge-left", f"{jump:+d}")
    settle(ticks, round(jump * FPS))
    clocks.set("edge-left", "+0")
    settle(ticks, 0)


@pytest.mark.parametrize("jump", [2, 0])
def test_the_center_s_clock_that_is_set_darkens_no_camera(system: tuple[Stack, Ticks, Clocks], jump: int) -> None:
    stack, ticks, clocks = system
    clocks.set("center", f"{jump:+d}")
    settle(ticks, 0)
    assert all(process.exit_code() is None for process in stack.processes)


def test_a_camera_s_clock_that_drifts_parts_no_pair(system: tuple[Stack, Ticks, Clocks]) -> None:
    """0.02 %: twice what quartz does at its worst."""
    _, ticks, clocks = system
    clocks.set("edge-left", "+0 x1.0002")
    for _ in range(3):
        settle(ticks, 0)
