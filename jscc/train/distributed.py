"""Several processes that train one model: `torchrun --nproc-per-node 2 -m jscc.train ...`.

The number of processes changes nothing in the mathematics: pictures, links and noise are drawn for the whole step,
every process computes a slice of its pairs, and the gradients are added up. Equal up to the rounding of sums.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

PATIENCE = timedelta(hours=1)
"""How long the others wait while the first process validates and saves."""


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """`size` processes, of which this one has number `rank`. A team of one does nothing."""

    rank: int = 0
    size: int = 1

    @classmethod
    def gather(cls, device: torch.device) -> "ProcessGroup":
        """Meet the processes that torchrun started, over nccl for CUDA and gloo otherwise; without torchrun, alone."""
        if processes() == 1:
            return ALONE
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
        return cls(dist.get_rank(), dist.get_world_size())

    def shutdown(self) -> None:
        """Leave; the others may still be running."""
        if self.size > 1:
            dist.destroy_process_group()

    def part(self, count: int) -> slice:
        """Which of a step's `count` pairs are this process's."""
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def start_alike(self, *models: nn.Module) -> None:
        """Give every process the first one's weights."""
        if self.size > 1:
            for model in models:
                for tensor in model.state_dict().values():
                    dist.broadcast(tensor, 0)

    def add_gradients(self, model: nn.Module) -> None:
        """Replace every process's gradients by their sum, in one message."""
        if self.size == 1:
            return
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        pieces = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, total in zip(gradients, pieces, strict=True):
            gradient.copy_(total.view_as(gradient))

    def total(self, values: Sequence[float], device: torch.device) -> list[float]:
        """The sum of each value over the processes."""
        if self.size == 1:
            return list(values)
        sums: Tensor = torch.tensor(values, dtype=torch.float64, device=device)
        dist.all_reduce(sums)
        return [float(value) for value in sums.tolist()]

    def any(self, value: bool, device: torch.device) -> bool:
        """Whether it is true in at least one process."""
        return self.total([float(value)], device)[0] > 0

    def agrees(self, value: int, device: torch.device) -> bool:
        """Whether all processes have the same value."""
        if self.size == 1:
            return True
        ends = torch.tensor([value, -value], device=device)
        dist.all_reduce(ends, dist.ReduceOp.MAX)
        return ends[0].item() == -ends[1].item()


ALONE = ProcessGroup()


def processes() -> int:
    """How many torchrun started; without it, 1."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def leads() -> bool:
    """Whether this is the process that prints and writes for all that torchrun started."""
    return int(os.environ.get("RANK", "0")) == 0
