"""A copy of all that a step changes, kept on the device, to go back to."""

import torch
from torch import Tensor

from jscc.train.state import TrainState


class Snapshot:
    """Weights, average, optimisers and step as they were when it was taken. Goes back in place: CUDA graphs, which
    know tensors by their address, stay right.
    """

    def __init__(self, state: TrainState) -> None:
        self._state = state
        self.take()

    @torch.no_grad()
    def take(self) -> None:
        """Keep the present."""
        self.step = self._state.step
        self._kept = {id(tensor): tensor.detach().clone() for tensor in _changing(self._state)}

    @torch.no_grad()
    def go_back(self) -> None:
        """Make the state what it was; what an optimiser has created since begins at zero, as it did then."""
        for tensor in _changing(self._state):
            kept = self._kept.get(id(tensor))
            if kept is None:
                tensor.zero_()
            else:
                tensor.copy_(kept)
        self._state.step = self.step


def _changing(state: TrainState) -> list[Tensor]:
    averages, values = state.averaged()
    buffers = [
        value
        for optimiser in state.optimisers
        for parameter in optimiser.state.values()
        for value in parameter.values()
        if isinstance(value, Tensor)
    ]
    return [*averages, *values, *buffers]
