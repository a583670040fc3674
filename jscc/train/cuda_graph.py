"""Work that is done again and again, captured as a CUDA graph: one launch for thousands of kernels."""

import contextlib
from collections.abc import Callable, Hashable
from typing import Any, Final

import torch

WARM_UPS: Final = 3
"""Times that work runs as it stands before it is captured: it makes its buffers then, and chooses kernels."""
NO_GRAPH: Final = "no CUDA graph, steps run one by one: "
"""What a line begins with that says why."""


def _print(line: str) -> None:
    print(line, flush=True)


class GraphRunner:
    """Runs pieces of work by name; from the fourth time on, what was captured is replayed.

    The work must read and write tensors that stay where they are, and ask the host nothing. If it cannot be captured,
    it goes on as it stands, and a line says why.

    tell    takes that line
    pool    of device memory, by `torch.cuda.graph_pool_handle`, that graphs share of which no two run at once; None for
            one of each graph's own
    active  whether work is captured: no longer after it could not be
    """

    def __init__(self, tell: Callable[[str], object] = _print, pool: Any = None) -> None:
        self.active, self._tell, self._pool = True, tell, pool
        self._beside: torch.cuda.Stream | None = None
        self._runs: dict[Hashable, int] = {}
        self._graphs: dict[Hashable, torch.cuda.CUDAGraph] = {}

    def run(self, name: Hashable, work: Callable[[], object]) -> None:
        """Do the work called `name` once."""
        if name in self._graphs:
            self._graphs[name].replay()
        elif not self.active:
            work()
        elif self._runs.get(name, 0) < WARM_UPS:
            self._runs[name] = self._runs.get(name, 0) + 1
            self._warm_up(work)
        elif self._capture(name, work):
            self._graphs[name].replay()  # capturing has only written down what is to be done
        else:
            work()

    def _warm_up(self, work: Callable[[], object]) -> None:
        """Run it on a stream beside the current one, always the same: what was allocated on one serves no other."""
        if self._beside is None:
            self._beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._beside):
            work()
        torch.cuda.current_stream().wait_stream(self._beside)

    def _capture(self, name: Hashable, work: Callable[[], object]) -> bool:
        """Whether it could be captured; if not, nothing of the attempt is left when this returns, its memory neither.

        After a capture, torch cleans up only if `capture_end` finds nothing wrong.
        """
        stream = torch.cuda.current_stream()
        pool = torch.cuda.graph_pool_handle() if self._pool is None else self._pool
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=pool):
                work()
        except RuntimeError as error:
            self.active = False
            torch.cuda.set_stream(stream)
            _let_go(pool)
            self._tell(f"{NO_GRAPH}{_cause(error)}")
            return False
        self._graphs[name] = graph
        return True


def _cause(error: BaseException) -> str:
    """The first line of what went wrong first: that a capture cannot be ended only follows from it."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error).partition("\n")[0] or type(error).__name__


def _let_go(pool: Any) -> None:
    """End and release the pool of a capture that could not be ended: else it keeps its memory for good."""
    with contextlib.suppress(RuntimeError):  # of a capture that was ended, for which the graph does it
        device = torch.cuda.current_device()
        torch._C._cuda_endAllocateToPool(device, pool)
        torch._C._cuda_releasePool(device, pool)
