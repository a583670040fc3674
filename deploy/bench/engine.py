"""Every engine side by side: speed, PSNR that is lost, memory.

Engines take turns at every batch size, so that a busy machine slows all alike: compare within one run only. The same on
a CPU and on a GPU.
"""

import argparse
import functools
import math
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, get_args

import numpy as np

from center.decode import engines
from center.decode.engines import Batch, Engine, Kind
from center.decode.engines.base import in_flight
from deploy.bench.arguments import count, natural, output_file
from deploy.bench.offline import Pictures, load_pairs, size_of, unit_noise
from deploy.bench.result_file import measured_here, store
from deploy.local.stack import FOOTAGE
from wire import codec, units
from wire.geometry import DEFAULT_SIZE, PictureSize
from wire.quality import psnr
from wire.runtime.errors import UserError

KINDS: Final[tuple[Kind, ...]] = tuple(kind for kind in get_args(Kind) if kind not in ("auto", "ray"))
SNRS_DB: Final = (-2.0, 4.0, 12.0)
_CLIP_STEP: Final = 4
_EACH: Final = 2
"""Batches one after another, where an engine takes several at once: a single one would show its beginning and end."""


@dataclass
class Row:
    """One engine at one batch size.

    at_once  batches that it decodes at the same time
    seconds  of each turn, in which every one of these is decoded `_EACH` times, for one of the `_EACH`
    peak     bytes of a process that does nothing else
    """

    name: str
    kind: Kind
    size: int
    at_once: int = 1
    seconds: list[float] = field(default_factory=list)
    peak: int = 0

    @property
    def best(self) -> float:
        return min(self.seconds)

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))

    @property
    def pairs(self) -> int:
        """That are decoded in `seconds`."""
        return self.size * self.at_once


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--codec", default=codec.DEFAULT, help="shipped name or folder (default %(default)s)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="default: all that are there")
    parser.add_argument("--batches", type=count, nargs="+", default=[1, 2, 4], help="pairs in a batch (default 1 2 4)")
    parser.add_argument(
        "--size", default=str(DEFAULT_SIZE), help="of the pictures that are timed, rows x columns (default %(default)s)"
    )
    parser.add_argument("--rounds", type=count, default=40, help="calls of each (default %(default)s)")
    parser.add_argument("--threads", type=natural, default=2, help="on the CPU, 0 is every core (default %(default)s)")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="store every figure")


def run(arguments: argparse.Namespace) -> int:
    """Print the table."""
    size = size_of(arguments.size)
    loaded = load_all(arguments.codec, arguments.kinds, arguments.threads)
    rows = [
        Row(engine.name, kind, size, calls)
        for kind, engine in loaded.items()
        for size in arguments.batches
        for calls in sorted({1, in_flight(engine)})
    ]
    take_turns(rows, {engine.name: engine for engine in loaded.values()}, arguments.rounds, size=size)
    for row in rows:
        row.peak = peak_memory(arguments.codec, row.kind, arguments.threads, (row.size, row.at_once), size)
    quality = {engine.name: [psnr_on_clip(engine, snr_db) for snr_db in SNRS_DB] for engine in loaded.values()}
    report(rows, quality)
    if arguments.json is not None:
        store(
            arguments.json,
            measured_here({"size": str(size), "rows": [vars(row) for row in rows], "psnr": quality, "snrs": SNRS_DB}),
        )
    return 0


def load_all(name: str, kinds: Sequence[Kind], threads: int) -> dict[Kind, Engine]:
    """Those that can be had; of the others a line says why not. raises UserError if there is none"""
    found: dict[Kind, Engine] = {}
    for kind in kinds:
        try:
            found[kind] = engines.load(name, kind, "auto", threads)
        except UserError as problem:
            print(f"{kind}: left out: {problem}")
    if not found:
        raise UserError("no engine can be loaded; the lines above say what each needs")
    return found


def take_turns(
    rows: Sequence[Row],
    by_name: dict[str, Engine],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
    size: PictureSize = DEFAULT_SIZE,
) -> None:
    """Time every row `rounds` times, after a first call that does not count. clock: seconds; size: of the pictures"""
    batches = {row.size: Batch.noise(row.size, size=size) for row in rows}
    with ThreadPoolExecutor(max(row.at_once for row in rows)) as threads:
        for row in rows:
            _turn(by_name[row.name], batches[row.size], row.at_once, threads)
        for _ in range(rounds):
            for row in rows:
                began = clock()
                turns = _turn(by_name[row.name], batches[row.size], row.at_once, threads)
                row.seconds.append((clock() - began) / turns)


def _turn(engine: Engine, batch: Batch, at_once: int, threads: ThreadPoolExecutor) -> int:
    """Decode so many batches at once. Returns how often one after another."""
    if at_once == 1:
        engine.decode(batch)
        return 1
    list(threads.map(engine.decode, [batch] * at_once * _EACH))
    return _EACH


def psnr_on_clip(engine: Engine, snr_db: float) -> float:
    """Mean PSNR in dB over pairs of the demo's clip, which no engine was made with; both views over AWGN.

    NaN for another codec than the shipped one, whose encoder makes the symbols.
    """
    codec_hash, sent = received_clip(snr_db)
    if codec_hash != engine.codec_hash:
        return math.nan
    found = []
    for batch, pair in sent:
        pictures = np.clip(engine.decode(batch)[0], 0.0, 1.0)
        found += [psnr(pictures[view], pair[view]) for view in (0, 1)]
    return float(np.mean(found))


@functools.cache
def received_clip(snr_db: float) -> tuple[str, list[tuple[Batch, Pictures]]]:
    """The hash of the default codec; and pairs as they reach its decoder, each with its pictures."""
    half, n0 = codec.load_onnx(codec.DEFAULT, "encoder", 0), units.noise_variance(snr_db)
    received = []
    for seed, pair in enumerate(load_pairs(FOOTAGE)[::_CLIP_STEP]):
        feed = {"picture": pair, "snr_db": np.full(2, snr_db, np.float32)}
        sent = np.asarray(half.session.run(["symbols"], feed)[0], np.float32).view(np.complex64)[..., 0]
        noisy = sent + np.float32(n0**0.5) * unit_noise(sent.shape, seed)
        batch = Batch.noise(1, snr_db)
        batch.symbols[0] = (noisy / np.float32(1.0 + n0)).view(np.float32).reshape(2, batch.size.symbols, 2)
        received.append((batch, pair))
    return half.codec_hash, received


def peak_memory(
    name: str, kind: Kind, threads: int, batches: tuple[int, int] = (1, 1), size: PictureSize = DEFAULT_SIZE
) -> int:
    """Most bytes that a process of its own needs for an engine; on CUDA those of the device (Linux).

    batches  pairs in each, and how many at once
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as own:
        return own.submit(_peak_memory, name, kind, threads, batches, size).result()


def _peak_memory(name: str, kind: Kind, threads: int, batches: tuple[int, int], size: PictureSize) -> int:
    engine, (count, at_once) = engines.load(name, kind, "auto", threads), batches
    with ThreadPoolExecutor(at_once) as calls:
        _turn(engine, Batch.noise(count, size=size), at_once, calls)
    if engine.name.endswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_reserved())
    # Not getrusage: what it tells begins with the memory of the process that started this one.
    told = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(told["VmHWM"].split()[0]) * 1024


def report(rows: Sequence[Row], quality: dict[str, list[float]]) -> None:
    """Print every row beside the rate of the first one of its batch size, and what each engine costs in PSNR."""
    first = {row.size: row for row in reversed(rows)}
    heads = f"{'batch':>5} {'at once':>7} {'ms a batch':>10} {'median':>8} {'pairs/s':>8} {'of first':>8} {'MB':>6}"
    print(f"\n{'engine':28} {heads}")
    for row in rows:
        rate, at_first = row.pairs / row.best, first[row.size].pairs / first[row.size].best
        print(
            f"{row.name:28} {row.size:5d} {row.at_once:7d} {1e3 * row.best:10.1f} {1e3 * row.median:8.1f}"
            f" {rate:8.1f} {rate / at_first:8.2f} {row.peak / 2**20:6.0f}"
        )
    reference = next(iter(quality.values()))
    print(f"\nPSNR, dB, and what is lost against {next(iter(quality))}")
    print(f"{'engine':34} " + " ".join(f"{snr_db:+16.0f} dB" for snr_db in SNRS_DB))
    for name, found in quality.items():
        told = (f"{each:10.3f} ({exact - each:+.3f})" for each, exact in zip(found, reference, strict=True))
        print(f"{name:34} " + " ".join(f"{text:>19}" for text in told))
