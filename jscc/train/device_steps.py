"""Steps that happen on one device from the picture to the weights, without the host waiting for any of them.

A small network on a large GPU is ruled by launches. So the pictures lie on the device, everything random is drawn
before a step into tensors that stay where they are, and what follows, from cutting windows to averaging weights, is one
function of those tensors without a question back to the host: it can be captured as a CUDA graph. On a CPU the same
function runs as it stands.
"""

import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass

import torch
from torch import Tensor

from jscc.channel import ChannelNoise
from jscc.data.device_batches import make_pairs
from jscc.data.picture_store import PictureStore
from jscc.data.window_draws import REALS, WHOLES, draw_windows
from jscc.quality import psnr
from jscc.train.cuda_graph import NO_GRAPH, WARM_UPS, GraphRunner
from jscc.train.loss import pair_loss
from jscc.train.optimizer import prepare_for_device
from jscc.train.settings import TrainSettings
from jscc.train.snapshot import Snapshot
from jscc.train.state import TrainState
from jscc.train.step import Diverged, links_rng, noise_seed
from wire import geometry


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a step of one size reads; filled anew before each, at the same addresses.

    size        (rows, columns)
    whole       int64 [B, WHOLES], real float [B, REALS]: see `jscc.data.window_draws`
    view_noise  float [B, 3, rows, columns], N(0, 1), of synthetic right views
    snr_db      float [B, 2]; fading int64 [B, 2] of `Fading`
    links       noise and gains of 2B pictures
    """

    size: tuple[int, int]
    whole: Tensor
    real: Tensor
    view_noise: Tensor
    snr_db: Tensor
    fading: Tensor
    links: ChannelNoise

    @classmethod
    def empty(cls, pairs: int, size: tuple[int, int], latent_channels: int, device: torch.device) -> "Inputs":
        """For `pairs` pairs of `size` = (rows, columns)."""
        cells = (size[0] // geometry.DOWNSCALING) * (size[1] // geometry.DOWNSCALING)
        symbols = latent_channels * cells // 2
        return cls(
            size,
            torch.zeros((pairs, WHOLES), dtype=torch.int64, device=device),
            torch.zeros((pairs, REALS), device=device),
            torch.zeros((pairs, geometry.CHANNELS, *size), device=device),
            torch.zeros((pairs, 2), device=device),
            torch.zeros((pairs, 2), dtype=torch.int64, device=device),
            ChannelNoise(
                torch.zeros((2 * pairs, symbols, 2), device=device),
                torch.zeros((2 * pairs, symbols, 2), device=device),
                torch.zeros((2 * pairs, 1, 2), device=device),
            ),
        )


class DeviceSteps:
    """Training on pictures that lie on the device; see `jscc.train.host_steps.Steps`.

    graph     capture a step of each size as a CUDA graph; not with MS-SSIM, whose library copies numbers from the host
              in every call, and a line says so
    compiled  compile the network with torch.compile
    """

    keeps_good = True

    def __init__(
        self,
        state: TrainState,
        settings: TrainSettings,
        store: PictureStore,
        *,
        graph: bool = False,
        compiled: bool = False,
    ) -> None:
        self.state, self.settings, self.store, self.device = state, settings, store, store.device
        self.waited, self.pairs = 0.0, 0
        if graph and settings.loss == "ms-ssim":
            print(f"{NO_GRAPH}MS-SSIM copies from the host", flush=True)
            graph = False
        self._lr, self._averaging = (torch.zeros((), device=self.device) for _ in range(2))
        prepare_for_device(state.optimisers, self._lr)
        self._network = torch.compile(state.model, dynamic=False) if compiled else state.model
        self._parameters = [parameter for parameter in state.model.parameters() if parameter.requires_grad]
        self._generator: torch.Generator | None = None
        self._sums = torch.zeros(4, dtype=torch.float64, device=self.device)
        """Loss, PSNR of all views, views, and steps that were not finite, since the last look."""
        self._steps = 0
        self._inputs: dict[tuple[int, tuple[int, int]], Inputs] = {}
        self._runner = GraphRunner() if graph else None
        self._good = Snapshot(state)

    @property
    def graph(self) -> bool:
        """Whether steps are captured as CUDA graphs; no longer after one could not be."""
        return self._runner is not None and self._runner.active

    def advance(self) -> None:
        """See `Steps`."""
        kind = count, size = self.settings.size_at(self.state.step)
        if kind not in self._inputs:
            self._inputs[kind] = Inputs.empty(count, size, self.state.model.config.latent_channels, self.device)
        inputs = self._inputs[kind]
        began = time.monotonic()
        self.draw(inputs, count, self.state.step)
        self.waited += time.monotonic() - began
        self._lr.fill_(self.settings.lr_at(self.state.step))
        self.state.torn = True
        self.state.step += 1
        self._averaging.fill_(self.state.averaging_weight(self.settings.ema))
        if self._runner is None:
            self.compute(inputs)
        else:
            self._runner.run(kind, lambda: self.compute(inputs))
        self.state.torn = False
        self._steps += 1
        self.pairs += count

    def draw(self, inputs: Inputs, count: int, step: int) -> None:
        """Fill a step's inputs; a pure function of (seed, step). The links are those of `train_step`."""
        seed = self.settings.seed
        windows = draw_windows(self.store, self.settings.mixture, count, inputs.size, seed=seed, step=step)
        snr_db, fading = self.settings.draws.draw(count, links_rng(seed, step))
        for there, drawn in (
            (inputs.whole, torch.from_numpy(windows.whole)),
            (inputs.real, torch.from_numpy(windows.real)),
            (inputs.snr_db, snr_db),
            (inputs.fading, fading),
        ):
            there.copy_(drawn.pin_memory() if there.is_cuda else drawn, non_blocking=True)
        if self._generator is None:
            self._generator = torch.Generator(self.device)
        self._generator.manual_seed(noise_seed(seed, step))
        for noise in inputs.links:
            noise.normal_(0, 0.5**0.5, generator=self._generator)
        inputs.view_noise.normal_(generator=self._generator)

    def compute(self, inputs: Inputs) -> None:
        """The step itself: reads `inputs`, moves weights and their average, adds to the sums."""
        settings = self.settings
        for optimiser in self.state.optimisers:
            optimiser.zero_grad(set_to_none=True)
        with torch.no_grad():
            pairs = make_pairs(self.store, settings.mixture, inputs.size, inputs.whole, inputs.real, inputs.view_noise)
        present = ~torch.isneginf(inputs.snr_db)
        half = torch.autocast(self.device.type, torch.bfloat16) if settings.half_precision else nullcontext()
        with half:
            decoded: Tensor = self._network(pairs, inputs.snr_db, inputs.fading, inputs.links)
        loss = pair_loss(decoded, pairs, present, settings.loss, settings.alpha)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, settings.clip)
        for optimiser in self.state.optimisers:
            optimiser.step()
        with torch.no_grad():
            averages, values = self.state.averaged()
            torch._foreach_mul_(averages, 1 - self._averaging)
            torch._foreach_add_(averages, torch._foreach_mul(values, self._averaging))
            came = present.flatten()
            quality = torch.where(came, psnr(decoded.flatten(0, 1), pairs.flatten(0, 1)), 0.0)
            self._sums += torch.stack((loss.detach(), quality.sum(), came.sum(), ~norm.isfinite())).double()

    def verify(self) -> None:
        """See `Steps`. After Diverged the state is as it was at the last call that found nothing wrong."""
        if float(self._sums[3]) > 0:
            self._diverged()
        self._good.take()

    def recover(self) -> bool:
        """See `Steps`; a step that was cut short, or was not finite, is undone with all since the last look."""
        if self.state.torn:
            self._good.go_back()
            self.state.torn = False
        else:
            with suppress(Diverged):
                self.verify()
        return True

    def means(self) -> tuple[float, float] | None:
        """See `Steps`; here the host waits for the device."""
        if not self._steps:
            return None
        loss, quality, views, broken = self._sums.tolist()
        if broken:
            self._diverged()
        self._good.take()
        steps, self._steps = self._steps, 0
        self._sums.zero_()
        return loss / steps, quality / max(views, 1.0)

    def _diverged(self) -> None:
        last = self.state.step - 1
        self._good.go_back()
        self._sums.zero_()
        self._steps = 0
        raise Diverged(
            f"the gradients of a step in {self._good.step}...{last} are not finite; a lower --lr or --full-precision"
            f" may help; the run is back at step {self._good.step}"
        )

    def seconds_per_step(self, step: int, budget: float) -> float:
        """See `Steps`; steps that prepare others do not count."""
        for _ in range(WARM_UPS + 2 if self.graph else 1):
            self.state.step = step
            self.advance()
        self._wait()
        began, done = time.monotonic(), 0
        while done < 2 or time.monotonic() - began < budget:
            for _ in range(10 if self.graph else 1):
                self.state.step = step
                self.advance()
                done += 1
            self._wait()
        return (time.monotonic() - began) / done

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def reschedule(self, settings: TrainSettings) -> None:
        """See `Steps`; what was captured before stays right unless loss, clip or mixture differ."""
        self.settings = settings
        self._sums.zero_()
        self._steps, self.waited, self.pairs = 0, 0.0, 0
        self._good.take()

    def close(self) -> None:
        """Nothing to let go of."""
