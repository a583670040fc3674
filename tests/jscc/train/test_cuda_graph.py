"""When work is captured and when it runs, with a stand-in for CUDA: no GPU is needed to test that."""

import contextlib
import itertools
import weakref
from collections.abc import Iterator

import pytest
import torch

from jscc.train.cuda_graph import WARM_UPS, GraphRunner


class Stream:
    made = 0

    def __init__(self) -> None:
        Stream.made += 1

    def wait_stream(self, other: object) -> None:
        pass


class FakeCuda:
    """Notes what happens; work does nothing while a graph is captured, and a graph replays nothing but a note.

    As torch does it: a capture that cannot be ended leaves its stream current and its pool in use, and raises an error
    of its own.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, refuses: bool = False) -> None:
        self.notes: list[str] = []
        self.pools: list[object] = []
        self.in_use: set[object] = set()
        self.capturing, self.refuses = False, refuses
        self.current = self.usual = Stream()
        handles = itertools.count(1)
        cuda = self

        class Graph:
            def __init__(self) -> None:
                weakref.finalize(self, cuda.notes.append, "dropped").atexit = False

            def replay(self) -> None:
                cuda.notes.append("replay")

        for module, name, value in (
            (torch.cuda, "Stream", Stream),
            (torch.cuda, "current_stream", lambda: self.current),
            (torch.cuda, "current_device", lambda: 0),
            (torch.cuda, "stream", self.stream),
            (torch.cuda, "set_stream", self.set_stream),
            (torch.cuda, "graph_pool_handle", lambda: (0, next(handles))),
            (torch.cuda, "CUDAGraph", Graph),
            (torch.cuda, "graph", self.graph),
            (torch._C, "_cuda_endAllocateToPool", lambda _, pool: self.end(pool)),
            (torch._C, "_cuda_releasePool", lambda _, pool: self.notes.append("released")),
        ):
            monkeypatch.setattr(module, name, value)

    def set_stream(self, stream: Stream) -> None:
        self.current = stream

    @contextlib.contextmanager
    def stream(self, stream: Stream) -> Iterator[None]:
        before, self.current = self.current, stream
        yield
        self.current = before

    def end(self, pool: object) -> None:
        if pool not in self.in_use:
            raise RuntimeError("endAllocatePool: not currently recording to mempool_id")
        self.in_use.remove(pool)

    @contextlib.contextmanager
    def graph(self, graph: object, pool: object = None) -> Iterator[None]:
        self.pools.append(pool)
        self.in_use.add(pool)
        before, self.current = self.current, Stream()
        self.capturing = True
        try:
            yield
        finally:
            self.capturing = False
            if self.refuses:
                raise RuntimeError("CUDA error: operation failed due to a previous error during capture\nand more")
            self.end(pool)
            self.current = before

    def work(self) -> None:
        self.notes.append("captured" if self.capturing else "run" if self.current is not self.usual else "run plainly")
        if self.capturing and self.refuses:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nand more")


def test_work_runs_three_times_and_is_replayed_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call does the work once: the one that captures replays at once."""
    cuda, runner = FakeCuda(monkeypatch), GraphRunner()
    streams = Stream.made
    for _ in range(WARM_UPS + 2):
        runner.run("patches", cuda.work)
    assert cuda.notes == ["run"] * WARM_UPS + ["captured", "replay", "replay"]
    cuda.notes.clear()
    runner.run("pictures", cuda.work)
    runner.run("patches", cuda.work)
    assert cuda.notes == ["run", "replay"]
    assert Stream.made == streams + 2, "what one stream has allocated serves no other; and one to capture on"
    assert runner.active


def test_each_graph_has_a_pool_of_its_own_or_those_that_never_run_at_once_share_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cuda, runner = FakeCuda(monkeypatch), GraphRunner()
    for name in ("patches", "pictures"):
        for _ in range(WARM_UPS + 1):
            runner.run(name, cuda.work)
    assert len(set(cuda.pools)) == 2
    cuda.pools.clear()
    for runner in (GraphRunner(pool=(0, 7)), GraphRunner(pool=(0, 7))):
        for _ in range(WARM_UPS + 1):
            runner.run("pictures", cuda.work)
    assert cuda.pools == [(0, 7), (0, 7)]


def test_what_cannot_be_captured_goes_on_as_it_stands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the stream of before, with nothing left of the attempt: neither its graph nor its memory. A line says why."""
    cuda, runner = FakeCuda(monkeypatch, refuses=True), GraphRunner()
    for _ in range(WARM_UPS + 3):
        runner.run("patches", cuda.work)
    assert cuda.notes == ["run"] * WARM_UPS + ["captured", "released", "dropped"] + ["run plainly"] * 3
    assert cuda.in_use == set()
    said = capsys.readouterr().out
    assert said == "no CUDA graph, steps run one by one: CUDA error: operation not permitted when stream is capturing\n"
    assert not runner.active
    told: list[str] = []
    runner = GraphRunner(told.append)
    for _ in range(WARM_UPS + 2):
        runner.run("patches", cuda.work)
    assert told == [said.rstrip()]


def test_an_error_of_the_work_alone_leaves_the_pool_to_the_graph(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The capture was ended then: the graph releases its pool itself, and twice would be once too often."""
    cuda, runner = FakeCuda(monkeypatch), GraphRunner()

    def work() -> None:
        cuda.work()
        if cuda.capturing:
            raise RuntimeError

    for _ in range(WARM_UPS + 1):
        runner.run("patches", work)
    assert cuda.notes == ["run"] * WARM_UPS + ["captured", "dropped", "run plainly"]
    assert capsys.readouterr().out == "no CUDA graph, steps run one by one: RuntimeError\n"
