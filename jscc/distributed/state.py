"""A training at one moment, saved and resumed exactly; and how another run's weights begin one."""

import copy
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from jscc.distributed.codec import Dwsic, System, TransformCodec, Widths, build
from jscc.distributed.objective import lambda_at
from jscc.distributed.settings import DistributedSettings
from jscc.distributed.transform import start_as_block_transform
from jscc.model.checkpoint import WeightsError, fill
from jscc.train.optimizer import Muon
from jscc.train.run_folder import described
from jscc.train.schedule import averaging_weight
from jscc.train.state import read_state
from wire.runtime.files import replacing

SAVED: Final = {"system", "widths", "settings", "step", "model", "ema", "optimisers"}


class DistributedState:
    """Model, averaged model (`ema`), optimisers and the number of finished steps.

    All randomness of a step is a function of (seed, step), so there is no generator state to store.
    """

    def __init__(self, system: System, widths: Widths, settings: DistributedSettings) -> None:
        torch.manual_seed(settings.seed)
        self.system, self.widths = system, widths
        self.model = build(system, widths).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if system == "dsin":
            self.model.codec.requires_grad_(False)
        self.ema: nn.Module = copy.deepcopy(self.model).requires_grad_(False)
        self.optimisers = _optimisers(self.model, settings.lr)
        self.step = 0

    def start_from_pictures(self, pairs_BV3HW: Tensor, *, private_only: bool = False) -> None:
        """Begin transforms as linear ones, fitted to training pictures, float [B, 2, 3, H, W].

        private_only  leave what `start_from` has filled: only the other view's own transform, of DWSIC
        """
        pictures = pairs_BV3HW.flatten(0, 1)
        inside = self.model.private if private_only else self.model
        for codec in (part for part in inside.modules() if isinstance(part, TransformCodec)):
            deviation = start_as_block_transform(codec.analysis, codec.synthesis, pictures)
            codec.bottleneck.density.begin(0.55 * deviation + 0.01)
            with torch.no_grad():
                latent = torch.cat([codec.analysis(part) for part in torch.split(pictures, 64)])
                steps = codec.bottleneck.steps(torch.tensor([(codec.bottleneck.levels - 1) / 2]))[0]
            codec.bottleneck.density.fit(latent.transpose(0, 1).flatten(1), steps)
        if isinstance(self.model, Dwsic) and not private_only:
            self._start_common()
        self.ema.load_state_dict(self.model.state_dict())

    @torch.no_grad()
    def _start_common(self) -> None:
        """The extractor of common information begins as the transform, which sees the same kind of pictures."""
        assert isinstance(self.model, Dwsic)
        self.model.common.load_state_dict(self.model.codec.analysis.state_dict())
        self.model.common_density.density.load_state_dict(self.model.codec.bottleneck.density.state_dict())
        for codec in (self.model.codec, self.model.private):
            scales = self.model.codec.synthesis.scales[: self.model.codec.synthesis.latent]
            codec.synthesis.scales[codec.synthesis.latent :] = scales

    def trained(self) -> list[nn.Parameter]:
        """The parameters that move."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    @torch.no_grad()
    def average(self, decay: float) -> None:
        """Move the average towards the weights."""
        weight = averaging_weight(self.step, decay)
        torch._foreach_lerp_(list(self.ema.parameters()), list(self.model.parameters()), weight)

    def save(self, path: Path, settings: dict[str, Any]) -> None:
        """Write the whole state; a crash while writing leaves the old file."""
        with replacing(path) as partial:
            torch.save(
                {
                    "system": self.system,
                    "widths": self.widths.to_dict(),
                    "settings": settings,
                    "step": self.step,
                    "model": self.model.state_dict(),
                    "ema": self.ema.state_dict(),
                    "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
                },
                partial,
            )

    def restore(self, path: Path) -> None:
        """Continue from a saved state; ValueError if it is of another system or of other widths."""
        saved = read_saved(path)
        found = saved["system"], Widths.from_dict(saved["widths"])
        if found != (self.system, self.widths):
            raise ValueError(f"{path} was made with other --system, --lambda or widths; give another --out")
        fill(self.model, saved["model"])
        fill(self.ema, saved["ema"])
        for optimiser, state in zip(self.optimisers, saved["optimisers"], strict=True):
            optimiser.load_state_dict(state)
        self.step = int(saved["step"])

    def start_from(self, path: Path) -> dict[str, Any]:
        """Begin with the averaged weights of another run: of the same system, or of the codec inside.

        returns  what is known of that run
        raises   ValueError if it is of another system or other widths
        """
        saved = read_saved(path)
        system, widths = saved["system"], Widths.from_dict(saved["widths"])
        if system not in (self.system, "codec"):
            raise ValueError(f"it is a {system}; a {self.system} begins with its own kind, or with a codec")
        prefix = "codec." if system != self.system else ""
        tensors = {prefix + name: tensor for name, tensor in saved["ema"].items()}
        if widths.lambdas != self.widths.lambdas:
            tensors = {name: self._at_lambdas(name, tensor, widths.lambdas) for name, tensor in tensors.items()}
        mine = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        for name, tensor in tensors.items():
            wider = name in mine and len(mine[name]) > len(tensor) and ".synthesis." in name
            if wider:  # the rest is for the common information; its convolution begins small
                mine[name][: len(tensor)] = tensor
                mine[name][len(tensor) :] *= 0.1
            else:
                mine[name] = tensor
        try:
            fill(self.model, mine)
        except WeightsError as error:
            raise ValueError(f"it has other widths: {error}") from error
        if isinstance(self.model, Dwsic) and prefix:
            self._start_common()
        self.ema.load_state_dict(self.model.state_dict())
        known = {
            "system": system,
            "from": path.parent.resolve().name,
            "step": int(saved["step"]),
            "settings": saved["settings"],
        }
        return described(path.parent) | known

    def _at_lambdas(self, name: str, table: Tensor, lambdas: tuple[float, ...]) -> Tensor:
        """A table by rate level, read at this run's lambdas; other tensors as they are."""
        if not name.endswith(("bottleneck.log_steps", "bottleneck.log_gains")):
            return table
        fine = torch.linspace(0, len(lambdas) - 1, 1 + 100 * (len(lambdas) - 1))
        known = lambda_at(lambdas, fine)
        nearest = [int((known.log() - torch.tensor(value).log()).abs().argmin()) for value in self.widths.lambdas]
        level = fine[nearest]
        low = level.floor().long().clamp(max=len(table) - 1)
        return torch.lerp(table[low], table[(low + 1).clamp(max=len(table) - 1)], (level - low)[:, None])


def _optimisers(model: nn.Module, lr: float) -> list[torch.optim.Optimizer]:
    """Muon for the convolutions, AdamW for the rest; `lr_scale` of a group multiplies the learning rate."""
    groups: dict[str, list[nn.Parameter]] = {"convolution": [], "block": [], "density": [], "rest": []}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if "block.weight" in name:
            groups["block"].append(parameter)
        elif "density" in name or "log_steps" in name:
            groups["density"].append(parameter)
        elif parameter.ndim == 4 and min(parameter.shape[0], parameter[0].numel()) >= 16:
            groups["convolution"].append(parameter)
        else:
            groups["rest"].append(parameter)
    scales = {"block": 0.1, "density": 4.0, "rest": 1.0}
    adam = [{"params": groups[name], "lr_scale": scale} for name, scale in scales.items() if groups[name]]
    muon = [Muon(groups["convolution"], lr)] if groups["convolution"] else []
    return [*muon, torch.optim.AdamW(adam, lr, betas=(0.9, 0.99), weight_decay=0.0)]


def read_saved(path: Path) -> dict[str, Any]:
    """What `DistributedState.save` wrote; FileNotFoundError or ValueError if there is none, or it is damaged."""
    return read_state(path, SAVED, f"{path} is not a saved training of jscc.distributed, or damaged")
