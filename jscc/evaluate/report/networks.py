"""What the learned systems cost: parameters, multiply-accumulates of one picture, training.

python -m jscc.evaluate.report.networks
"""

import contextlib
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from jscc.cli import exit_code
from jscc.distributed.transmission import LATENT
from jscc.distributed.validation import reconstruct
from jscc.distributed.weights import Trained, load, shipped
from jscc.evaluate.systems.neural import WEIGHTS
from jscc.evaluate.systems.registry import NEURAL, SIDE_INFORMATION
from jscc.model.checkpoint import read_about, resolve
from jscc.model.codec import load as load_codec
from wire import geometry
from wire.geometry import DEFAULT_SIZE, PictureSize
from wire.runtime.errors import UserError

PICTURE = (1, geometry.CHANNELS, geometry.HEIGHT, geometry.WIDTH)


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one system. MACs of one view, in units of 10^9; steps of gradient descent, all stages together."""

    encoder_parameters: int
    decoder_parameters: int
    encoder_gmac: float
    decoder_gmac: float
    steps: str


def gmac(work: Callable[[], object]) -> float:
    """Multiply-accumulates of convolutions, matrix products and attention, in 10^9."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops()) / 2e9


def parameters(*modules: nn.Module) -> int:
    """How many numbers are trained in them, each counted once."""
    return sum({id(p): p.numel() for module in modules for p in module.parameters()}.values())


def of_side_information(trained: Trained) -> Cost:
    """Of DSIN or DWSIC: the decoder's share includes what it does with the other view."""
    model = trained.model
    codec: Any = model if trained.system == "codec" else model.codec
    picture, level = torch.rand(PICTURE), torch.zeros(1)
    restored = torch.zeros(1, codec.synthesis.latent, *LATENT)
    sending = parameters(codec.analysis, codec.bottleneck)
    receiving = parameters(model) - (0 if trained.system == "dsin" else parameters(codec.analysis))
    return Cost(
        sending,
        receiving,
        gmac(lambda: codec.analysis(picture)),
        gmac(lambda: reconstruct(model, restored, picture, level)),
        _steps(trained.about),
    )


def of_network(name: str, size: PictureSize = DEFAULT_SIZE) -> Cost:
    """Of one of the project's own networks, by the name of its weights, with pictures of this size."""
    codec = load_codec(name)
    model: Any = codec.model
    picture, snr = torch.rand(1, geometry.CHANNELS, size.rows, size.columns), torch.zeros(1)
    symbols = codec.encode(picture, snr)
    pair = symbols[None].expand(1, 2, *symbols.shape[1:])
    certain = torch.ones(pair.shape[:3])
    return Cost(
        parameters(model.encoder),
        parameters(model.decoder),
        gmac(lambda: codec.encode(picture, snr)),
        gmac(lambda: codec.decode(pair, certain, torch.zeros(1, 2), size)) / 2,
        _steps(read_about(resolve(name))),
    )


def _steps(about: dict[str, Any]) -> str:
    """Steps of all stages, as far as the weights tell."""
    total, stage = 0, about
    while stage:
        total += int(stage.get("step", 0))
        stage = stage.get("before") or {}
    return f"{total:,}" if total else "see its card"


def costs(names: Iterable[str], size: PictureSize = DEFAULT_SIZE) -> dict[str, Cost]:
    """Of the learned systems among names of the bench, with pictures of this size; those whose weights are no longer
    there are left out.
    """
    found: dict[str, Cost] = {}
    for name in names:
        base, _, weights = name.partition("@")
        with contextlib.suppress(FileNotFoundError):
            if base in SIDE_INFORMATION:
                found[name] = of_side_information(load(shipped(base.removesuffix("-capacity"))))
            elif base in WEIGHTS:
                found[name] = of_network(weights or WEIGHTS[base], size)
    return found


def table(names: Iterable[str], size: PictureSize = DEFAULT_SIZE) -> str:
    """Markdown, for pictures of this size: the learned systems among names of the bench; empty if there are none."""
    found = costs(names, size)
    head = f"| system | parameters, encoder / decoder | GMAC a view of {size}, encoder / decoder | training steps |"
    lines = [head, "|---|---|---|---|"]
    lines += [
        f"| {name} | {c.encoder_parameters / 1e6:.2f} M / {c.decoder_parameters / 1e6:.2f} M"
        f" | {c.encoder_gmac:.2f} / {c.decoder_gmac:.2f} | {c.steps} |"
        for name, c in found.items()
    ]
    return "\n".join(lines) if found else ""


def main() -> None:
    """Print the table of all shipped ones."""
    try:
        print(table((*NEURAL, *SIDE_INFORMATION)))
    except (OSError, ValueError) as error:
        raise UserError(str(error)) from error


if __name__ == "__main__":
    sys.exit(exit_code(main))
