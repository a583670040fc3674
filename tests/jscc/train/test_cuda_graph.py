"""When work is captured and when it runs, with a stand-in for CUDA: no GPU is needed to test that."""

import contextlib
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
    """Notes what happens; work does nothing while a graph is captured, and a graph replays nothing but a note."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, refuses: bool = False) -> None:
        self.notes: list[str] = []
        self.pools: list[object] = []
        self.capturing, self.refuses = False, refuses
        cuda, current = self, Stream()

        class Graph:
            def replay(self) -> None:
                cuda.notes.append("replay")

        for name, value in (
            ("Stream", Stream),
            ("current_stream", lambda: current),
            ("stream", lambda _: contextlib.nullcontext()),
            ("CUDAGraph", Graph),
            ("graph", self.graph),
        ):
            monkeypatch.setattr(torch.cuda, name, value)

    @contextlib.contextmanager
    def graph(self, graph: object, pool: object = None) -> Iterator[None]:
        self.pools.append(pool)
        self.capturing = True
        try:
            yield
            if self.refuses:
                raise RuntimeError("operation not permitted when stream is capturing\nand more")
        finally:
            self.capturing = False

    def work(self) -> None:
        self.notes.append("captured" if self.capturing else "run")


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
    assert Stream.made == streams + 1, "what one stream has allocated serves no other"
    assert cuda.pools == [None], "a pool of its own"


def test_graphs_of_which_no_two_run_at_once_share_their_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = FakeCuda(monkeypatch)
    for runner in (GraphRunner(pool=(0, 7)), GraphRunner(pool=(0, 7))):
        for _ in range(WARM_UPS + 1):
            runner.run("pictures", cuda.work)
    assert cuda.pools == [(0, 7), (0, 7)]


def test_what_cannot_be_captured_goes_on_as_it_stands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cuda, runner = FakeCuda(monkeypatch, refuses=True), GraphRunner()
    for _ in range(WARM_UPS + 3):
        runner.run("patches", cuda.work)
    assert cuda.notes == ["run"] * WARM_UPS + ["captured"] + ["run"] * 3
    said = capsys.readouterr().out
    assert said == "no CUDA graph, steps run one by one: operation not permitted when stream is capturing\n"
    told: list[str] = []
    runner = GraphRunner(told.append)
    for _ in range(WARM_UPS + 2):
        runner.run("patches", cuda.work)
    assert told == [said.rstrip()]
