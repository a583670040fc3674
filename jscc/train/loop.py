"""The training loop: from the state's step to the last one, with progress, validation and saves on the way."""

import dataclasses
import signal
import time
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jscc.data.batches import Sources, ahead
from jscc.train.distributed import ALONE, ProcessGroup
from jscc.train.preview import save_preview
from jscc.train.run_folder import RunFolder
from jscc.train.settings import TrainSettings
from jscc.train.state import TrainState
from jscc.train.step import train_step
from jscc.train.validation import SNRS_DB, as_text, ms_ssim_table, neighbour_table


@dataclass(frozen=True, slots=True)
class Cadence:
    """How often a run tells, validates and saves; ValueError names what makes no sense."""

    log_every: int = 50
    val_every: int = 1000
    save_minutes: float = 5.0
    stop_after: int | None = None
    """Stop after this many steps of this call; the schedule still ends at its last step."""

    def __post_init__(self) -> None:
        for name in ("log_every", "val_every", "stop_after"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"--{name.replace('_', '-')} is {value}; it must be at least 1")
        if not self.save_minutes >= 0:
            raise ValueError(f"--save-minutes is {self.save_minutes}; it must not be negative")


def run(
    state: TrainState,
    settings: TrainSettings,
    cadence: Cadence,
    folder: RunFolder,
    sources: Sources,
    val_BV3HW: Tensor | None,
    device: torch.device,
    team: ProcessGroup = ALONE,
) -> bool:
    """Train until the last step, a signal to any process of the team, or `stop_after` steps of this call. Saves.

    Only the team's first process writes, prints and validates.

    returns  whether the last step is done, and no signal came
    raises   Diverged; what was saved before stays
    """
    first, leads = state.step, team.rank == 0
    last = settings.steps if cadence.stop_after is None else min(settings.steps, first + cadence.stop_after)
    if first >= last:
        if leads:
            print(f"{folder.path} is at step {first:,} of {settings.steps:,}: there is nothing to do", flush=True)
        return True
    plan = [(step, *settings.size_at(step)) for step in range(first, last)]
    described = dataclasses.asdict(settings)
    progress = _Progress(folder, settings, first)
    saved_at = time.monotonic()
    with _Signals() as signals:
        for pairs in ahead(sources, settings.mixture, settings.seed, plan):
            result = train_step(state, settings, pairs, device, team)
            if leads:
                progress.add(*result)
            if leads and state.step == first + 1 < min(last, first + cadence.log_every):
                print(f"the first step took {time.monotonic() - progress.began:.1f} s", flush=True)
            if leads and _due(state.step, cadence.log_every, last):
                progress.tell(state.step)
            if leads and val_BV3HW is not None and _due(state.step, cadence.val_every, settings.steps):
                validate(state, folder, val_BV3HW.to(device))
            if team.any(signals.came, device):
                if leads:
                    progress.tell(state.step)
                    print(f"stopped by a signal at step {state.step}, saved", flush=True)
                break
            if leads and time.monotonic() - saved_at > cadence.save_minutes * 60:
                state.save(folder.state, described)
                saved_at = time.monotonic()
        if leads:
            state.save(folder.state, described)
        return state.step >= settings.steps and not team.any(signals.came, device)


def validate(state: TrainState, folder: RunFolder, val_BV3HW: Tensor) -> dict[str, float]:
    """Measure the averaged model: a row of val.csv, lines on the screen, pictures in val-STEP.png."""
    state.ema.eval()
    table = neighbour_table(state.ema, val_BV3HW)
    similar = {f"ms-ssim@{snr}": value for snr, value in ms_ssim_table(state.ema, val_BV3HW, SNRS_DB).items()}
    folder.row("val", {"step": state.step, **table, **similar})
    print(f"  validation, PSNR in dB at step {state.step}\n{as_text(table)}")
    print("    MS-SSIM   " + "".join(f"{value:9.4f}" for value in similar.values()), flush=True)
    save_preview(state.ema, val_BV3HW, folder.path / f"val-{state.step}.png", SNRS_DB)
    return table


def _due(step: int, every: int, last: int) -> bool:
    return step % every == 0 or step == last


class _Progress:
    """Means over the steps since the last line, on the screen and in train.csv.

    There `seconds` counts from the call's beginning, which is `session` in Unix time; validation counts in.
    """

    def __init__(self, folder: RunFolder, settings: TrainSettings, first: int) -> None:
        self.folder, self.settings, self.first = folder, settings, first
        self.began, self.session = time.monotonic(), time.time()
        self.recent: list[tuple[float, float]] = []

    def add(self, loss: float, quality: float) -> None:
        """One step's loss and PSNR."""
        self.recent.append((loss, quality))

    def tell(self, step: int) -> None:
        """Report and forget what was added, if anything."""
        if not self.recent:
            return
        steps, seconds = self.settings.steps, time.monotonic() - self.began
        loss, quality = (float(mean) for mean in np.mean(self.recent, 0))
        per_step = seconds / (step - self.first)
        lr = self.settings.lr_at(step - 1)  # of the step that led here
        row = {"step": step, "loss": loss, "psnr": quality, "lr": lr, "seconds": seconds, "session": self.session}
        self.folder.row("train", row)
        print(
            f"step {step:>{len(str(steps))}}/{steps}  loss {loss:8.4f}  {quality:5.2f} dB"
            f"  {per_step:.2f} s/step  {(steps - step) * per_step / 60:.0f} min left",
            flush=True,
        )
        self.recent.clear()


class _Signals:
    """Remembers SIGTERM and Ctrl-C while the loop runs, so that it can finish its step and save."""

    def __enter__(self) -> "_Signals":
        self.came = False
        self.previous: dict[int, Any] = {
            number: signal.signal(number, self._remember) for number in (signal.SIGTERM, signal.SIGINT)
        }
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.came = True
