"""Work that is done again and again, captured as a CUDA graph: one launch for thousands of kernels."""

from collections.abc import Callable, Hashable
from typing import Any, Final

import torch

WARM_UPS: Final = 3
"""Times that work runs as it stands before it is captured: it makes its buffers then, and chooses kernels."""


def _print(line: str) -> None:
    print(line, flush=True)


class GraphRunner:
    """Runs pieces of work by name; from the fourth time on, what was captured is replayed.

    The work must read and write tensors that stay where they are, and ask the host nothing. If it cannot be captured,
    it goes on as it stands, and a line says why.

    tell  takes that line
    pool  of device memory, by `torch.cuda.graph_pool_handle`, that graphs share of which no two run at once; None for
          one of each graph's own
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
        else:
            self._capture(name, work)

    def _warm_up(self, work: Callable[[], object]) -> None:
        """Run it on a stream beside the current one, always the same: what was allocated on one serves no other."""
        if self._beside is None:
            self._beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._beside):
            work()
        torch.cuda.current_stream().wait_stream(self._beside)

    def _capture(self, name: Hashable, work: Callable[[], object]) -> None:
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=self._pool):
                work()
        except RuntimeError as error:
            self.active = False
            self._tell(f"no CUDA graph, steps run one by one: {str(error).splitlines()[0]}")
            work()
        else:
            self._graphs[name] = graph
            graph.replay()  # capturing has only written down what is to be done
