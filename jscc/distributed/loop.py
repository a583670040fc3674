"""The training loop: step, log, validate, save; every step is a function of (seed, step)."""

import contextlib
import dataclasses
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from jscc.data.batches import Sources, batch
from jscc.distributed.objective import objective
from jscc.distributed.settings import DistributedSettings
from jscc.distributed.state import DistributedState
from jscc.distributed.validation import rate_distortion_table
from jscc.train.loop import Signals
from jscc.train.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class Pace:
    """How often what is done, and when to stop. `minutes` of this call; infinity runs to the last step."""

    log_every: int = 50
    val_every: int = 1000
    save_minutes: float = 3.0
    minutes: float = float("inf")


def train_step(state: DistributedState, settings: DistributedSettings, pairs: Tensor) -> tuple[float, float, float]:
    """One step on uint8 [B, 2, 3, H, W]; returns (loss, PSNR in dB, bits per pixel).

    raises  FloatingPointError if the loss is not finite
    """
    for optimiser in state.optimisers:
        for group in optimiser.param_groups:
            group["lr"] = settings.lr_at(state.step) * group.get("lr_scale", 1.0)
        optimiser.zero_grad(set_to_none=True)
    generator = torch.Generator().manual_seed((settings.seed << 32) + state.step)
    with torch.autocast("cpu", torch.bfloat16, enabled=settings.half_precision):
        outcome = objective(state.model, state.widths.lambdas, settings, pairs.float() / 255, generator)
    loss = float(outcome.loss.detach())
    if not abs(loss) < float("inf"):
        raise FloatingPointError(f"the loss of step {state.step} is {loss}; go on with a smaller --lr")
    outcome.loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(state.trained(), settings.clip)
    for optimiser in state.optimisers:
        optimiser.step()
    state.step += 1
    state.average(settings.ema)
    return loss, outcome.psnr, outcome.bpp


def run(
    state: DistributedState,
    settings: DistributedSettings,
    sources: Sources,
    val: Tensor | None,
    folder: RunFolder,
    pace: Pace,
) -> None:
    """Train up to the last step, for as long as the pace allows, or until a signal; then save.

    raises  FloatingPointError for a loss that is not finite; what was saved before stays. OSError if a figure cannot be
            written or printed, on a full disk, say: the step is saved before, if it can be
    """
    log = _Log(folder, settings, pace, val)
    kept = dataclasses.asdict(settings)
    saved_at = log.began
    with Signals() as signals:
        while state.step < settings.steps and not signals.came and time.monotonic() - log.began < 60 * pace.minutes:
            count, size = settings.size_at(state.step)
            pairs = batch(sources, settings.mixture, count, size, seed=settings.seed, step=state.step)
            figures = train_step(state, settings, torch.from_numpy(pairs))
            try:
                log.tell(state, figures)
            except BaseException:  # a screen that is gone, a full disk, no memory to validate: the step is whole
                with contextlib.suppress(Exception):
                    state.save(folder.state, kept)
                raise
            if time.monotonic() - saved_at > 60 * pace.save_minutes:
                state.save(folder.state, kept)
                saved_at = time.monotonic()
        state.save(folder.state, kept)


class _Log:
    """Of one call: train.csv, val.csv, and what is printed."""

    def __init__(self, folder: RunFolder, settings: DistributedSettings, pace: Pace, val: Tensor | None) -> None:
        self.folder, self.settings, self.pace, self.val = folder, settings, pace, val
        self.session, self.began = time.time(), time.monotonic()
        self.recent: list[tuple[float, float, float]] = []

    def tell(self, state: DistributedState, figures: tuple[float, float, float]) -> None:
        """After a step: (loss, PSNR in dB, bits per pixel)."""
        self.recent.append(figures)
        last = state.step == self.settings.steps
        if last or state.step % self.pace.log_every == 0:
            loss, psnr, bpp = torch.tensor(self.recent).mean(0).tolist()
            self.recent.clear()
            row = {
                "step": state.step,
                "loss": loss,
                "psnr": psnr,
                "bpp": bpp,
                "lr": self.settings.lr_at(state.step - 1),
            }
            self.folder.row("train", row | {"seconds": time.monotonic() - self.began, "session": self.session})
            print(f"{state.step:7d}  loss {loss:.4f}  {psnr:.2f} dB  {bpp:.3f} bpp", flush=True)
        if self.val is not None and (last or state.step % self.pace.val_every == 0):
            table = rate_distortion_table(state.ema, self.val)
            self.folder.row("val", {"step": state.step, **table})
            print("         " + "  ".join(f"{name} {value:.3f}" for name, value in table.items()), flush=True)
