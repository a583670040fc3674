"""The training loop: from the state's step to the last one, with progress, validation and saves on the way."""

import contextlib
import dataclasses
import signal
import time
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Any

import torch
from torch import Tensor

from jscc.data.batches import Sources
from jscc.train.distributed import ALONE, ProcessGroup
from jscc.train.host_steps import HostSteps, Steps
from jscc.train.preview import save_preview
from jscc.train.run_folder import RunFolder
from jscc.train.settings import TrainSettings
from jscc.train.state import TrainState
from jscc.train.step import Diverged
from jscc.train.validation import SNRS_DB, as_text, ms_ssim_table, neighbour_table


@dataclass(frozen=True, slots=True)
class Cadence:
    """How often a run tells, validates and saves; ValueError names what makes no sense."""

    log_every: int = 50
    val_every: int = 1000
    save_minutes: float = 5.0
    stop_after: int | None = None
    """Stop after this many steps of this call; the schedule still ends at its last step."""
    deadline: float | None = None
    """Stop at this time of `time.monotonic`, whatever the schedule says."""

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
    steps: Steps | None = None,
) -> bool:
    """Train until the last step, a signal to any process of the team, the deadline, or `stop_after` steps. Saves.

    Only the team's first process writes, prints and validates. It saves before it tells; whatever else goes wrong, the
    last whole step is saved if it can be.

    steps    how a step is made; by default on pictures that the host cuts from `sources`
    returns  whether the last step is done, and no signal came
    raises   Diverged; what was saved before stays. OSError: a full disk, or a screen that is gone
    """
    first, leads = state.step, team.rank == 0
    last = settings.steps if cadence.stop_after is None else min(settings.steps, first + cadence.stop_after)
    if first >= last:
        if leads:
            print(f"{folder.path} is at step {first:,} of {settings.steps:,}: there is nothing to do", flush=True)
        return True
    steps = HostSteps(state, settings, sources, device, last, team) if steps is None else steps
    progress = _Progress(folder, settings, steps, first, leads)
    saves = _Saves(state, steps, folder, settings, cadence.save_minutes * 60, leads)
    with Signals() as signals:
        try:
            while state.step < last:
                steps.advance()
                reason = _reason_to_stop(team.any(signals.came, device), cadence, state.step, last)
                if reason is not None or state.step == last or saves.late:
                    saves.save()  # first: a full disk, no memory or a closed screen may end what follows
                progress.tell_first(state.step, min(last, first + cadence.log_every))
                if reason is not None or _due(state.step, cadence.log_every, last):
                    progress.tell(state.step)
                if leads and val_BV3HW is not None and _due(state.step, cadence.val_every, settings.steps):
                    steps.verify()
                    validate(state, folder, val_BV3HW.to(device))
                if reason is not None:
                    progress.say(f"{reason} at step {state.step} of {settings.steps}, saved")
                    break
            return state.step >= settings.steps and not team.any(signals.came, device)
        except Diverged:
            if steps.keeps_good:
                saves.rescue()
            raise
        except BaseException:
            saves.rescue()
            raise
        finally:
            steps.close()


def validate(state: TrainState, folder: RunFolder, val_BV3HW: Tensor) -> dict[str, float]:
    """Measure the averaged model: a row of val.csv, lines on the screen, pictures in val-STEP.png."""
    state.ema.eval()
    table = neighbour_table(state.ema, val_BV3HW)
    similar = {f"ms-ssim@{snr}": value for snr, value in ms_ssim_table(state.ema, val_BV3HW, SNRS_DB).items()}
    folder.row("val", {"step": state.step, **table, **similar})
    print(f"  validation, PSNR in dB at step {state.step}\n{as_text(table)}")
    shown = (
        "".join(f"{value:9.4f}" for value in similar.values())
        if similar
        else " not measured: pytorch-msssim is missing"
    )
    print(f"    MS-SSIM   {shown}", flush=True)
    save_preview(state.ema, val_BV3HW, folder.path / f"val-{state.step}.png", SNRS_DB)
    return table


def _reason_to_stop(signalled: bool, cadence: Cadence, step: int, last: int) -> str | None:
    """What ends the loop before its last step, if anything does."""
    if signalled:
        return "stopped by a signal"
    late = cadence.deadline is not None and time.monotonic() > cadence.deadline
    return "the time is over" if late and step < last else None


def _due(step: int, every: int, last: int) -> bool:
    return step % every == 0 or step == last


class _Saves:
    """When state.pt was written last, and of which step. Only the team's first process writes.

    seconds  between two saves
    """

    def __init__(
        self, state: TrainState, steps: Steps, folder: RunFolder, settings: TrainSettings, seconds: float, leads: bool
    ) -> None:
        self.state, self.steps, self.folder, self.seconds, self.leads = state, steps, folder, seconds, leads
        self.settings = dataclasses.asdict(settings)
        self.step, self.at = state.step, time.monotonic()

    @property
    def late(self) -> bool:
        """Whether it is time for the next one."""
        return time.monotonic() - self.at > self.seconds

    def save(self) -> None:
        """Write the state if it is sound. Raises Diverged."""
        if self.leads:
            self.steps.verify()
            self._write()

    def rescue(self) -> None:
        """After an error, which is the one to tell: one try to save what is newer than the file."""
        with contextlib.suppress(Exception):
            if self.leads and self.steps.recover() and self.state.step > self.step:
                self._write()

    def _write(self) -> None:
        self.state.save(self.folder.state, self.settings)
        self.step, self.at = self.state.step, time.monotonic()


class _Progress:
    """Means over the steps since the last line, on the screen and in train.csv.

    There `seconds` counts from the call's beginning, which is `session` in Unix time; validation counts in.
    """

    def __init__(self, folder: RunFolder, settings: TrainSettings, steps: Steps, first: int, leads: bool) -> None:
        self.folder, self.settings, self.steps, self.first, self.leads = folder, settings, steps, first, leads
        self.began, self.session = time.monotonic(), time.time()
        self.before = self.began, steps.waited, steps.pairs

    def say(self, line: str) -> None:
        """A line on the screen, from the team's first process."""
        if self.leads:
            print(line, flush=True)

    def tell_first(self, step: int, next_line: int) -> None:
        """How long the first step took, if the next line is not about it anyway."""
        if step == self.first + 1 < next_line:
            self.say(f"the first step took {time.monotonic() - self.began:.1f} s")

    def tell(self, step: int) -> None:
        """Report the steps since the last line, if there were any."""
        means = self.steps.means()
        if means is None or not self.leads:
            return
        loss, quality = means
        steps, now = self.settings.steps, time.monotonic()
        seconds, since = now - self.began, max(now - self.before[0], 1e-9)
        waiting, rate = (self.steps.waited - self.before[1]) / since, (self.steps.pairs - self.before[2]) / since
        self.before = now, self.steps.waited, self.steps.pairs
        per_step = seconds / (step - self.first)
        lr = self.settings.lr_at(step - 1)  # of the step that led here
        row = {"step": step, "loss": loss, "psnr": quality, "lr": lr, "seconds": seconds, "session": self.session}
        self.folder.row("train", row)
        self.say(
            f"step {step:>{len(str(steps))}}/{steps}  loss {loss:8.4f}  {quality:5.2f} dB"
            f"  {per_step:.{2 if per_step >= 0.1 else 4}f} s/step  {rate:.{1 if rate < 100 else 0}f} pairs/s,"
            f" {waiting:.0%} waiting for pictures  {(steps - step) * per_step / 60:.0f} min left"
        )


class Signals:
    """Remembers SIGTERM and Ctrl-C while the loop runs, so that it can finish its step and save."""

    def __enter__(self) -> "Signals":
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
