"""A training that has so many minutes: how many steps fit, and when it must stop."""

import dataclasses
import time
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from jscc.train.host_steps import Steps
from jscc.train.loop import Cadence
from jscc.train.settings import TrainSettings
from jscc.train.snapshot import Snapshot
from jscc.train.state import TrainState
from jscc.train.validation import SNRS_DB, ms_ssim_table, neighbour_table

CALIBRATION: Final = 20.0
"""Seconds of steps that tell how fast they are, or a tenth of what there is."""
SLACK: Final = 0.97
"""The share of the time that is planned: a machine is not always equally fast."""
VALIDATION_SHARE: Final = 0.03
"""Validation comes seldom enough to take no more than this of the time."""


@dataclass(frozen=True, slots=True)
class Timetable:
    """`ends` of `time.monotonic`, of which the last `reserve` seconds are for saving and shipping."""

    ends: float
    reserve: float

    @property
    def left(self) -> float:
        """Seconds for training and validating from now on."""
        return self.ends - self.reserve - time.monotonic()


def plan(
    timetable: Timetable,
    state: TrainState,
    settings: TrainSettings,
    cadence: Cadence,
    steps: Steps,
    val_BV3HW: Tensor | None,
    device: torch.device,
) -> tuple[TrainSettings, Cadence]:
    """Measure, and choose the number of steps so that the schedule ends in time. The state is as before.

    raises  ValueError if there is no time for a single step
    """
    budget = min(CALIBRATION, 0.1 * timetable.left)
    before = Snapshot(state)
    seconds = 0.0
    for step, share in settings.shares().items():
        if share > 0:
            seconds += share * steps.seconds_per_step(step, budget * max(0.2, share))
    before.go_back()
    validating = _seconds_to_validate(state, val_BV3HW, device)
    every = max(cadence.val_every, round(validating / (VALIDATION_SHARE * seconds)) if validating else 1)
    left = timetable.left * SLACK - validating
    count = int(left / (seconds + validating / every))
    if count < 1:
        raise ValueError(
            f"--minutes leaves {max(timetable.left, 0):.0f} s for steps of {seconds:.2f} s and a validation of"
            f" {validating:.0f} s; give more"
        )
    print(
        f"{count:,} steps of {seconds:.4f} s fit into {timetable.left:.0f} s;"
        f" {timetable.reserve:.0f} s are kept for the end",
        flush=True,
    )
    settings = dataclasses.replace(settings, steps=count)
    steps.reschedule(settings)
    return (
        settings,
        dataclasses.replace(cadence, val_every=every, deadline=timetable.ends - timetable.reserve),
    )


@torch.inference_mode()
def _seconds_to_validate(state: TrainState, val_BV3HW: Tensor | None, device: torch.device) -> float:
    """By decoding a part of the pairs: the second time counts, the first one chooses kernels."""
    if val_BV3HW is None:
        return 0.0
    part = val_BV3HW[:5].to(device)
    took = 0.0
    for _ in range(2):
        began = time.monotonic()
        neighbour_table(state.ema, part, SNRS_DB[:1])
        ms_ssim_table(state.ema, part, SNRS_DB[:1])
        took = time.monotonic() - began
    return took * len(SNRS_DB) * len(val_BV3HW) / len(part) + 0.2
