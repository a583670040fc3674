"""Steps whose pictures the host cuts, one thread ahead of the training: for CPUs, and for several processes."""

import time
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from jscc.data.batches import Sources, prefetch_batches
from jscc.train.distributed import ALONE, ProcessGroup
from jscc.train.settings import TrainSettings
from jscc.train.state import TrainState
from jscc.train.step import train_step


class Steps(Protocol):
    """What the loop drives: it makes pictures, trains on them, and knows how it went.

    waited     seconds that the host spent on pictures so far, instead of on training
    pairs      how many it has trained on so far
    keeps_good whether the state stands at the last good step after Diverged, and is worth saving
    """

    waited: float
    pairs: int
    keeps_good: bool

    def advance(self) -> None:
        """One step; the state's step grows by one. Raises Diverged, perhaps only in `verify`."""
        ...

    def verify(self) -> None:
        """Raises Diverged if a step since the last call was not finite; what is saved after it is sound."""
        ...

    def recover(self) -> bool:
        """After any error: put the state back to a whole step, if that can be done; returns whether it is at one."""
        ...

    def means(self) -> tuple[float, float] | None:
        """Mean loss and PSNR, dB, since the last call; None if there were no steps. Raises Diverged."""
        ...

    def seconds_per_step(self, step: int, budget: float) -> float:
        """Trains as at `step` for about `budget` seconds to find out; who calls puts the state back."""
        ...

    def reschedule(self, settings: TrainSettings) -> None:
        """Go on with other settings; what was trained so far does not count, and the present state is good."""
        ...

    def close(self) -> None:
        """Let go of threads."""
        ...


class HostSteps:
    """`train_step` on batches of `jscc.data.batches`, up to step `last`.

    Every process of a team cuts the pictures of the whole step, and `train_step` keeps its slice: only the network's
    part is shared out.
    """

    keeps_good = False

    def __init__(
        self,
        state: TrainState,
        settings: TrainSettings,
        sources: Sources,
        device: torch.device,
        last: int,
        team: ProcessGroup = ALONE,
    ) -> None:
        self.state, self.settings, self.sources, self.device, self.team = state, settings, sources, device, team
        self.waited, self.pairs = 0.0, 0
        self._batches = self._plan(range(state.step, last))
        self._recent: list[tuple[float, float]] = []

    def _plan(self, steps: range) -> Iterator[NDArray[np.uint8]]:
        plan = [(step, *self.settings.size_at(step)) for step in steps]
        return prefetch_batches(self.sources, self.settings.mixture, self.settings.seed, plan)

    def advance(self) -> None:
        """See `Steps`."""
        began = time.monotonic()
        pairs = next(self._batches)
        self.waited += time.monotonic() - began
        self._recent.append(train_step(self.state, self.settings, pairs, self.device, self.team))
        self.pairs += len(pairs)

    def verify(self) -> None:
        """Nothing to do: `advance` looks at every step before it changes weights."""

    def recover(self) -> bool:
        """See `Steps`; there is no copy to go back to where a step was cut short."""
        return not self.state.torn

    def means(self) -> tuple[float, float] | None:
        """See `Steps`."""
        if not self._recent:
            return None
        loss, quality = (float(mean) for mean in np.mean(self._recent, 0))
        self._recent.clear()
        return loss, quality

    def seconds_per_step(self, step: int, budget: float) -> float:
        """See `Steps`."""
        batches = prefetch_batches(
            self.sources, self.settings.mixture, self.settings.seed, [(step, *self.settings.size_at(step))] * 10_000
        )
        train_step(self.state, self.settings, next(batches), self.device, self.team)  # the first pays for allocations
        began, done = time.monotonic(), 0
        while done < 2 or time.monotonic() - began < budget:
            self.state.step = step
            train_step(self.state, self.settings, next(batches), self.device, self.team)
            done += 1
        return (time.monotonic() - began) / done

    def reschedule(self, settings: TrainSettings) -> None:
        """See `Steps`; up to the last step of `settings`."""
        self.settings = settings
        self._batches = self._plan(range(self.state.step, settings.steps))

    def close(self) -> None:
        """See `Steps`."""
        close = getattr(self._batches, "close", None)
        if close is not None:
            close()
