"""Train a codec: `python -m jscc.train --preset small --pairs DIR... --mono DIR... --val DIR --out runs/x`.

One step: cut pairs at random, draw the links, send, decode, descend. Patches first (they learn faster per second),
whole pictures for the last part (power is normalised per picture, so patches and pictures spend it differently).
Everything random is a function of (seed, step), so `--resume` continues exactly. SIGTERM and Ctrl-C save and stop.
"""

import argparse
import csv
import dataclasses
import json
import math
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jscc.checkpoint import fill
from jscc.config import PRESETS, preset
from jscc.data import Mixture, Sources, ahead, batch, read_pairs, read_sources
from jscc.draws import LinkDraws, draw_links
from jscc.linear import start_from_components
from jscc.losses import DISTORTIONS, Distortion, pair_loss
from jscc.metrics import psnr
from jscc.models import JointCodec
from jscc.overrides import changed
from jscc.trainstate import TrainState, read_start
from jscc.validate import neighbour_table
from wire import geometry

PICTURE = (geometry.HEIGHT, geometry.WIDTH)
PATCH = (geometry.HEIGHT // 2, geometry.WIDTH // 2)


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """Everything that a run's result depends on, beside the codec config and the pictures."""

    steps: int = 250_000
    seed: int = 1
    lr: float = 2e-3
    optimiser: str = "muon"
    """At 240 equal steps 2 dB ahead of AdamW at 1e-3, which wants --lr 8e-4."""
    weight_decay: float = 0.01
    warm_up: int = 100
    clip: float = 1.0
    ema: float = 0.999
    loss: Distortion = "log-mse"
    alpha: float = 1.0
    patches: int = 12
    """Pairs of 64x128 patches in a step."""
    pictures: int = 4
    """Pairs of whole pictures in a step of the last part."""
    whole_share: float = 0.25
    """The share of steps, at the end, on whole pictures."""
    half_precision: bool = True
    """bfloat16 autocast; 1.7 times faster on a CPU with avx512_bf16."""
    mixture: Mixture = dataclasses.field(default_factory=Mixture)
    draws: LinkDraws = dataclasses.field(default_factory=LinkDraws)

    def size_at(self, step: int) -> tuple[int, tuple[int, int]]:
        """Pairs and their size (rows, columns) at a step."""
        whole = step >= round(self.steps * (1 - self.whole_share))
        return (self.pictures, PICTURE) if whole else (self.patches, PATCH)

    def lr_at(self, step: int) -> float:
        """Linear warm-up, then a cosine to 1 % at the last step."""
        warm = min(1.0, (step + 1) / self.warm_up)
        progress = min(1.0, step / max(self.steps - 1, 1))
        return self.lr * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


def train_step(
    state: TrainState, settings: TrainSettings, pairs_u8: NDArray[np.uint8], device: torch.device
) -> tuple[float, float]:
    """One descent on uint8 pairs [B, 2, 3, H, W]; returns (loss, mean PSNR in dB of the views that came)."""
    step = state.step
    links = np.random.Generator(np.random.Philox(key=[settings.seed + 1_000_003, step]))
    noise = torch.Generator(device).manual_seed(settings.seed * 1_000_003 + step)
    pairs = torch.from_numpy(pairs_u8).to(device).float() / 255
    snr_db, fading = (tensor.to(device) for tensor in draw_links(settings.draws, len(pairs), links))
    present = ~torch.isneginf(snr_db)

    with torch.autocast(device.type, torch.bfloat16, enabled=settings.half_precision):
        decoded: Tensor = state.model(pairs, snr_db, fading, noise)
    loss = pair_loss(decoded, pairs, present, settings.loss, settings.alpha)
    for optimiser in state.optimisers:
        optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(state.model.parameters(), settings.clip)
    state.set_lr(settings.lr_at(step))
    for optimiser in state.optimisers:
        optimiser.step()
    state.step += 1
    state.average(settings.ema)
    with torch.no_grad():
        quality = psnr(decoded.flatten(0, 1), pairs.flatten(0, 1))[present.flatten()].mean()
    return loss.item(), quality.item()


def start_linear_path(model: JointCodec, sources: Sources, settings: TrainSettings) -> None:
    """Begin with the principal components of training patches, if the codec has a linear path."""
    if model.encoder.linear is None or model.decoder.linear is None:
        return
    steps = range(2**32, 2**32 + 8)  # beyond every training step
    drawn = [batch(sources, settings.mixture, 32, PATCH, seed=settings.seed, step=step) for step in steps]
    pictures = torch.from_numpy(np.concatenate(drawn)).flatten(0, 1).float() / 255
    patches = pictures.unfold(2, 8, 8).unfold(3, 8, 8).permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, 8, 8)
    start_from_components(model.encoder.linear, model.decoder.linear, patches)


class Log:
    """Two CSV files in the run's folder, and lines on the screen."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def row(self, name: str, values: dict[str, float]) -> None:
        """Append one row to `name`.csv; the header is written when the file is new."""
        path = self.folder / f"{name}.csv"
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(values)
            writer.writerow(round(value, 5) for value in values.values())


def run(args: argparse.Namespace, settings: TrainSettings) -> TrainState:
    """Train until the last step, a signal, or `--stop-after` steps of this call."""
    device = torch.device(args.device)
    args.out.mkdir(parents=True, exist_ok=True)
    config = changed(preset(args.preset, joint=not args.baseline), args.set, "codec")
    sources = read_sources(args.pairs, args.mono)
    print(f"pictures: {len(sources.colour)} colour pairs, {len(sources.grey)} grey pairs, {len(sources.mono)} single")
    state = TrainState(
        config, settings.optimiser, settings.lr, settings.weight_decay, seed=settings.seed, device=device
    )
    checkpoint = args.out / "state.pt"
    described = dataclasses.asdict(settings)
    if args.resume and checkpoint.exists():
        state.restore(checkpoint)
        print(f"resumed at step {state.step}")
    else:
        about = {"preset": args.preset, "config": config.to_dict(), "settings": described}
        if args.init is None:
            start_linear_path(state.model, sources, settings)
        else:
            tensors, about["before"] = read_start(args.init)
            fill(state.model, tensors)
        state.ema.load_state_dict(state.model.state_dict())
        (args.out / "run.json").write_text(json.dumps(about, indent=1))
    val = (
        torch.from_numpy(np.stack([np.stack(p) for p in read_pairs(args.val)])).permute(0, 1, 4, 2, 3).float() / 255
        if args.val
        else None
    )

    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    previous = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    log, began, saved_at, first = Log(args.out), time.monotonic(), time.monotonic(), state.step
    last = settings.steps if args.stop_after is None else min(settings.steps, first + args.stop_after)
    recent: list[tuple[float, float]] = []
    plan = [(step, *settings.size_at(step)) for step in range(first, last)]
    for pairs in ahead(sources, settings.mixture, settings.seed, plan):
        recent.append(train_step(state, settings, pairs, device))
        now = time.monotonic()
        if state.step % args.log_every == 0:
            loss, quality = np.mean(recent, 0)
            per_step = (now - began) / (state.step - first)
            left = (settings.steps - state.step) * per_step / 60
            log.row(
                "train",
                {
                    "step": state.step,
                    "loss": loss,
                    "psnr": quality,
                    "lr": settings.lr_at(state.step),
                    "seconds": now - began,
                },
            )
            print(
                f"step {state.step}/{settings.steps}  loss {loss:.4f}  {quality:.2f} dB"
                f"  {per_step:.2f} s/step  {left:.0f} min left",
                flush=True,
            )
            recent.clear()
        if val is not None and (state.step % args.val_every == 0 or state.step == settings.steps):
            state.ema.eval()
            table = neighbour_table(state.ema, val.to(device))
            log.row("val", {"step": state.step, **table})
            print("  val  " + "  ".join(f"{name} {value:.2f}" for name, value in table.items()), flush=True)
        if stopping or now - saved_at > args.save_minutes * 60:
            state.save(checkpoint, described)
            saved_at = now
        if stopping:
            print(f"stopped by a signal at step {state.step}, saved")
            break
    state.save(checkpoint, described)
    for number, handler in previous.items():
        signal.signal(number, handler)
    return state


def parser() -> argparse.ArgumentParser:
    """The command line."""
    default = TrainSettings()
    p = argparse.ArgumentParser(prog="python -m jscc.train", description="Train a codec.")
    p.add_argument("--preset", choices=sorted(PRESETS), default="small")
    p.add_argument("--baseline", action="store_true", help="without joint decoding: each view alone")
    p.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="PART.KEY=VALUE",
        help="change a number of the codec, the mixture or the draws: codec.epipolar=false mixture.mono_share=0"
        " draws.absent_other=0.1",
    )
    p.add_argument(
        "--init", help="begin with the weights of another run (its folder), or of a codec (name, folder or file)"
    )
    p.add_argument("--pairs", type=Path, nargs="*", default=[], help="folders with left/ and right/")
    p.add_argument("--mono", type=Path, nargs="*", default=[], help="folders of single pictures, for synthetic stereo")
    p.add_argument("--val", type=Path, help="folder with left/ and right/ of 128x256 pictures, to choose models on")
    p.add_argument("--out", type=Path, required=True, help="the run's folder: state.pt, train.csv, val.csv, run.json")
    p.add_argument("--resume", action="store_true", help="continue from the run's state.pt, if there is one")
    p.add_argument(
        "--stop-after", type=int, help="stop after this many steps of this call; the schedule still ends at --steps"
    )
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--threads", type=int, default=0, help="torch threads; 0 leaves torch's default")
    p.add_argument("--log-every", type=int, default=50)
    p.add_argument("--val-every", type=int, default=1000)
    p.add_argument("--save-minutes", type=float, default=5.0)
    p.add_argument("--optimiser", choices=("adamw", "muon"), default=default.optimiser)
    p.add_argument("--loss", choices=DISTORTIONS, default=default.loss)
    p.add_argument("--full-precision", action="store_true", help="no bfloat16 autocast")
    for name in (
        "steps",
        "seed",
        "lr",
        "warm_up",
        "weight_decay",
        "ema",
        "alpha",
        "patches",
        "pictures",
        "whole_share",
    ):
        value = getattr(default, name)
        p.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value, help=f"default {value}")
    return p


def main(arguments: Sequence[str] | None = None) -> TrainState:
    """Entry point."""
    args = parser().parse_args(arguments)
    if args.threads:
        torch.set_num_threads(args.threads)
    names = {field.name for field in dataclasses.fields(TrainSettings)}
    settings = TrainSettings(
        **{k: v for k, v in vars(args).items() if k in names},
        half_precision=not args.full_precision,
        mixture=changed(Mixture(), args.set, "mixture"),
        draws=changed(LinkDraws(), args.set, "draws"),
    )
    if settings.loss == "ms-ssim" and settings.whole_share < 1:
        raise SystemExit("--loss ms-ssim needs whole pictures: add --whole-share 1")
    return run(args, settings)


if __name__ == "__main__":
    main()
