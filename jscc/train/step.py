"""One step of training: draw the links, send, decode, descend. All of its randomness is a function of (seed, step)."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jscc.channel import ChannelNoise
from jscc.quality import psnr
from jscc.train.distributed import ALONE, ProcessGroup
from jscc.train.loss import pair_loss
from jscc.train.settings import TrainSettings
from jscc.train.state import TrainState
from wire import geometry


class Diverged(ArithmeticError):
    """A step that would have put NaN or infinity into the weights; they are still as they were before it."""


def links_rng(seed: int, step: int) -> np.random.Generator:
    """Draws the links of a step."""
    return np.random.Generator(np.random.Philox(key=[seed + 1_000_003, step]))


def noise_seed(seed: int, step: int) -> int:
    """Seeds the generator, on the device, of the noise and gains of a step's links."""
    return seed * 1_000_003 + step


def train_step(
    state: TrainState,
    settings: TrainSettings,
    pairs_u8: NDArray[np.uint8],
    device: torch.device,
    team: ProcessGroup = ALONE,
) -> tuple[float, float]:
    """One descent on uint8 pairs [B, 2, 3, H, W]; returns (loss, mean PSNR in dB of the views that came).

    Everything is drawn for the whole step; of a team, each process computes its slice of the pairs. The loss is a mean
    over pairs, so a slice counts by its share of them. Raises Diverged.
    """
    step, count = state.step, len(pairs_u8)
    mine = team.part(count)
    links = links_rng(settings.seed, step)
    noise = torch.Generator(device).manual_seed(noise_seed(settings.seed, step))
    snr_db, fading = (tensor[mine].to(device) for tensor in settings.draws.draw(count, links))
    cells = (pairs_u8.shape[3] // geometry.DOWNSCALING) * (pairs_u8.shape[4] // geometry.DOWNSCALING)
    symbols = state.model.config.latent_channels * cells // 2
    chance = ChannelNoise.draw(2 * count, symbols, device, noise).part(slice(2 * mine.start, 2 * mine.stop))
    pairs = torch.from_numpy(pairs_u8[mine]).to(device).float() / 255
    present = ~torch.isneginf(snr_db)

    with torch.autocast(device.type, torch.bfloat16, enabled=settings.half_precision):
        decoded: Tensor = state.model(pairs, snr_db, fading, chance)
    loss = pair_loss(decoded, pairs, present, settings.loss, settings.alpha) * (len(pairs) / count)
    for optimiser in state.optimisers:
        optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    team.add_gradients(state.model)
    norm = torch.nn.utils.clip_grad_norm_(state.model.parameters(), settings.clip)
    if not bool(norm.isfinite()):  # the same in every process, whose gradients have been added up
        raise Diverged(f"the gradients of step {step} are not finite; a lower --lr or --full-precision may help")
    state.set_lr(settings.lr_at(step))
    state.torn = True
    for optimiser in state.optimisers:
        optimiser.step()
    state.step += 1
    state.average(settings.ema)
    state.torn = False
    with torch.no_grad():
        quality = psnr(decoded.flatten(0, 1), pairs.flatten(0, 1))[present.flatten()]
    whole_loss, decibels, views = team.total([loss.item(), quality.sum().item(), quality.numel()], device)
    return whole_loss, decibels / views
