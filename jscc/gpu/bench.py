"""How fast a device trains and decodes: `python3 -m jscc.gpu.bench --preset small --out bench.json`.

Pictures of noise are as good as any here. On a CPU the same code runs, without CUDA graphs. What is measured is written
down at once: a device whose memory is too small for the last batch has told the rest by then.
"""

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from jscc.data.batches import Mixture, Sources
from jscc.data.device_batches import make_pairs
from jscc.data.picture_store import PictureStore
from jscc.model.config import PRESETS, CodecConfig, preset
from jscc.train.__main__ import read_device
from jscc.train.cuda_graph import WARM_UPS, GraphRunner
from jscc.train.device_steps import DeviceSteps, Inputs
from jscc.train.overrides import changed
from jscc.train.precision import half_precision
from jscc.train.settings import TrainSettings
from jscc.train.state import TrainState, new_model
from wire import geometry
from wire.runtime.files import write_atomically

PEAK: Final = {"H100": 989e12, "H200": 989e12, "A100": 312e12}
"""FLOP/s of dense bfloat16 products by the vendor's data sheets, for the SXM form; for others no share is told."""
BATCHES: Final = (1, 4, 16, 64)


class Findings:
    """What was found so far: printed, and in a JSON file, row by row.

    about  the device and what runs on it
    file   is replaced with every row; None for none
    """

    def __init__(self, about: dict[str, Any], file: Path | None) -> None:
        self.found: dict[str, Any] = {**about, "training": [], "decoding": []}
        self._file = file

    def add(self, part: str, row: dict[str, Any]) -> None:
        """Keep a row of "training" or "decoding"."""
        self.found[part].append(row)
        print(json.dumps(row), flush=True)
        if self._file is not None:
            write_atomically(self._file, json.dumps(self.found, indent=1))


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python3 -m jscc.gpu.bench", description="Speed of training and decoding")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="small")
    parser.add_argument("--baseline", action="store_true", help="without joint decoding")
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="PART.KEY=VALUE", help="as in training"
    )
    parser.add_argument("--optimiser", choices=("adamw", "muon"), default=TrainSettings().optimiser)
    parser.add_argument("--full-precision", action="store_true", help="train without bfloat16 autocast")
    parser.add_argument("--device", help="cpu, cuda...; default: cuda if it is there")
    parser.add_argument("--patches", type=int, default=96)
    parser.add_argument("--pictures", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--batches", type=int, nargs="+", default=list(BATCHES), help="pairs that are decoded at once")
    parser.add_argument("--compile", action="store_true", help="also with torch.compile, which takes minutes to begin")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(arguments)
    try:
        device = read_device(args.device)
        config = changed(preset(args.preset, joint=not args.baseline), args.set, "codec")
        settings = TrainSettings(
            patches=args.patches,
            pictures=args.pictures,
            optimiser=args.optimiser,
            half_precision=half_precision(device, full=args.full_precision),
            mixture=changed(Mixture(), args.set, "mixture"),
        )
    except ValueError as error:
        sys.exit(f"{parser.prog}: {error}")
    about = {"device": device_name(device), "torch": torch.__version__, "preset": args.preset}
    chosen = {"config": config.to_dict(), "half_precision": settings.half_precision}
    findings = Findings({**about, **chosen}, args.out)
    bench_training(args, config, settings, device, findings)
    bench_decoding(args, config, device, findings)
    return findings.found


def bench_training(
    args: argparse.Namespace, config: CodecConfig, settings: TrainSettings, device: torch.device, findings: Findings
) -> None:
    """Steps on patches and on whole pictures, as they stand and as CUDA graphs."""
    noise = np.random.default_rng(0).integers(0, 256, (256, 860, 3), dtype=np.uint8)
    store = PictureStore(Sources([(noise, noise)], [], [noise]), device)
    kinds = [(graph, compiled) for compiled in (False, True)[: 1 + args.compile] for graph in (False, True)]
    for graph, compiled in kinds if device.type == "cuda" else [(False, args.compile)]:
        model = new_model(config, 1, device)
        state = TrainState(model, settings.optimiser, settings.lr, settings.weight_decay)
        steps = DeviceSteps(state, settings, store, graph=graph, compiled=compiled)
        for step in (0, settings.steps - 1):
            pairs, size = settings.size_at(step)
            seconds = steps.seconds_per_step(step, args.seconds)
            flop = count_flop(config, settings, step)
            row = {
                "pairs": pairs,
                "size": list(size),
                "graph": steps.graph,
                "compiled": compiled,
                "steps_per_s": 1 / seconds,
                "pairs_per_s": pairs / seconds,
                "tflop_per_s": flop / seconds / 1e12,
                "share_of_peak": share_of_peak(flop / seconds, device),
                "pictures_share": seconds_for_pictures(steps, pairs, size, args.seconds) / seconds,
            }
            findings.add("training", row)


def count_flop(config: CodecConfig, settings: TrainSettings, step: int) -> int:
    """Floating-point operations of a step's products and convolutions, forwards and backwards.

    Counted on a device without memory. Muon's products count, AdamW has none.
    """
    nowhere = torch.device("meta")
    settings = dataclasses.replace(settings, half_precision=False)
    dot = np.zeros((256, 512, 3), np.uint8)
    state = TrainState(new_model(config, 1, nowhere), settings.optimiser, settings.lr, settings.weight_decay)
    state.optimisers = [each for each in state.optimisers if not isinstance(each, torch.optim.AdamW)]
    steps = DeviceSteps(state, settings, PictureStore(Sources([(dot, dot)], [], []), nowhere))
    inputs = Inputs.empty(*settings.size_at(step), geometry.LATENT_CHANNELS, nowhere)
    with FlopCounterMode(display=False) as counter:
        steps.compute(inputs)
    return int(counter.get_total_flops())


def seconds_for_pictures(steps: DeviceSteps, pairs: int, size: tuple[int, int], budget: float) -> float:
    """Seconds that a step's pictures take when nothing else runs."""
    inputs = Inputs.empty(pairs, size, geometry.LATENT_CHANNELS, steps.device)
    steps.draw(inputs, pairs, 0)

    def make() -> None:
        make_pairs(steps.store, steps.settings.mixture, size, inputs.whole, inputs.real, inputs.view_noise)

    with torch.no_grad():
        return seconds_of(Repeated(make, graph=steps.graph), steps.device, budget / 4)


@torch.inference_mode()
def bench_decoding(args: argparse.Namespace, config: CodecConfig, device: torch.device, findings: Findings) -> None:
    """Pairs a second through the decoder, in half precision on CUDA, with and without graph capture."""
    decoder = new_model(config, 1, device).eval().decoder
    for batch in args.batches:
        symbols = torch.randn(batch, 2, geometry.SYMBOLS, 2, device=device)
        reliability = torch.rand(batch, 2, geometry.SYMBOLS, device=device)
        snr_db = torch.full((batch, 2), 4.0, device=device)

        def decode(inputs: tuple[Tensor, Tensor, Tensor] = (symbols, reliability, snr_db)) -> Tensor:
            with torch.autocast(device.type, torch.float16, enabled=device.type == "cuda"):
                pictures: Tensor = decoder(*inputs).clamp(0, 1)
            return pictures

        for graph in (False, True) if device.type == "cuda" else (False,):
            work = Repeated(decode, graph=graph)
            seconds = seconds_of(work, device, args.seconds / 2)
            row = {"batch": batch, "graph": work.graph, "pairs_per_s": batch / seconds, "ms": 1e3 * seconds}
            findings.add("decoding", row)


class Repeated:
    """Work that is done again and again: as it stands, or as a CUDA graph if it can be captured."""

    def __init__(self, work: Callable[[], object], *, graph: bool) -> None:
        self._work, self._runner = work, GraphRunner() if graph else None
        for _ in range(WARM_UPS + 1 if graph else 0):
            self()

    @property
    def graph(self) -> bool:
        """Whether it is a graph."""
        return self._runner is not None and self._runner.active

    def __call__(self) -> None:
        if self._runner is None:
            self._work()
        else:
            self._runner.run("work", self._work)


def seconds_of(work: Callable[[], object], device: torch.device, budget: float) -> float:
    """Mean time of one call, after one that does not count."""
    work()
    wait(device)
    began, done = time.perf_counter(), 0
    while done < 2 or time.perf_counter() - began < budget:
        for _ in range(10 if device.type == "cuda" else 1):
            work()
            done += 1
        wait(device)
    return (time.perf_counter() - began) / done


def wait(device: torch.device) -> None:
    """Until the device has done what was launched."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def device_name(device: torch.device) -> str:
    """What the device calls itself."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def share_of_peak(flop_per_s: float, device: torch.device) -> float | None:
    """Of the vendor's figure; None where it is not known here."""
    name = device_name(device)
    return next((flop_per_s / peak for key, peak in PEAK.items() if key in name), None)


if __name__ == "__main__":
    main()
