"""Runs the cells of the bench, in this process or on several cores, one pair after the other.

All systems of a pair that share a picture codec run in the same process, because they share encodings: BPG at one
budget is searched with files that BPG at another budget has made already. Workers compute with one thread each: the
tensors are small, and threads that wait for each other on a busy machine cost ten times what they bring.
"""

import hashlib
import math
import multiprocessing
import os
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import cast

from jscc.evaluate.links import noise_of
from jscc.evaluate.rows import Cell, Row
from jscc.evaluate.systems.base import Channel, Pair, Picture, Sent, System
from jscc.evaluate.systems.registry import Entry
from wire import quality
from wire.geometry import CHANNELS, PictureSize
from wire.runtime.errors import UserError
from wire.views import View


def plan(
    pairs: Sequence[Pair],
    channels: Sequence[Channel],
    systems: Mapping[str, System],
    snrs: Sequence[float],
    deltas: Sequence[float],
) -> list[Cell]:
    """Everything that a run has to measure, pair by pair.

    deltas  of a system's SNR differences, if it has several finite ones, those to run
    """
    return [
        Cell(name, channel, snr, delta, pair.name)
        for pair in pairs
        for channel in channels
        for name, system in systems.items()
        for delta in system.deltas
        if delta in deltas or math.isinf(delta) or len(system.deltas) == 1
        for snr in snrs
    ]


def measure(cell: Cell, system: System, pair: Pair, seed: int) -> list[Row]:
    """Run one cell: both views at once if their links are alike, else once for each view as the one with the own SNR.

    raises  UserError if the system spends more symbols on a view than its size has
    """
    channel = cast(Channel, cell.channel)
    other = cell.snr + cell.delta
    if cell.delta == 0.0:
        runs = [(cell.snr, cell.snr, tuple(View))]
    else:
        runs = [(cell.snr, other, (View.LEFT,)), (other, cell.snr, (View.RIGHT,))]
    truth = pair.truth
    rows: list[Row] = []
    for snr_left, snr_right, views in runs:
        started = time.perf_counter()
        sent = system.transmit(pair, snr_left, snr_right, channel, noise_of(seed, pair.name, cell.snr))
        seconds = (time.perf_counter() - started) / 2
        _check(cell, sent, pair.size)
        for view in views:
            place = view.position
            psnr, ms_ssim = _score(sent.pictures[place], truth[place])
            rows.append(
                Row(
                    *cell,
                    view=view.value,
                    psnr=psnr,
                    ms_ssim=ms_ssim,
                    bytes=None if sent.bytes is None else sent.bytes[place],
                    symbols=sent.symbols[place],
                    seconds=seconds,
                )
            )
    return rows


_scores: "OrderedDict[bytes, tuple[float, float]]" = OrderedDict()


def _score(picture: Picture, truth: Picture) -> tuple[float, float]:
    """(PSNR in dB, MS-SSIM). Remembered: what arrives through LDPC is the same picture at many SNRs."""
    digest = hashlib.sha1(picture.tobytes() + truth.tobytes(), usedforsecurity=False).digest()
    if digest not in _scores:
        _scores[digest] = quality.psnr(picture, truth), quality.ms_ssim(picture, truth)
        if len(_scores) > 512:
            _scores.popitem(last=False)
    return _scores[digest]


def _check(cell: Cell, sent: Sent, size: PictureSize) -> None:
    if max(sent.symbols) > size.symbols:
        raise UserError(f"{cell.system} spent {max(sent.symbols)} symbols on a view; every system has {size.symbols}")
    shape = (2, CHANNELS, size.rows, size.columns)
    if sent.pictures.shape != shape:
        raise UserError(f"{cell.system} returned pictures of shape {sent.pictures.shape}; expected {shape}")


def run(
    cells: Sequence[Cell],
    pairs: Sequence[Pair],
    builds: Mapping[str, Entry],
    systems: Mapping[str, System],
    *,
    seed: int,
    jobs: int,
) -> Iterator[list[Row]]:
    """Rows of each cell as they are ready.

    builds   how to make a system in another process, by name
    systems  the same, already made in this one
    jobs     processes; 1 runs here
    """
    by_name = {pair.name: pair for pair in pairs}
    if jobs == 1:
        for cell in cells:
            yield measure(cell, systems[cell.system], by_name[cell.picture], seed)
        return
    tasks: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        tasks.setdefault((cell.picture, cell.system.partition("-")[0]), []).append(cell)
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(variable, "1")  # inherited by the processes that are started now
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        futures = [
            pool.submit(_run_task, by_name[name], some, {cell.system: builds[cell.system] for cell in some}, seed)
            for (name, _), some in tasks.items()
        ]
        try:
            for future in as_completed(futures):
                yield from future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


_systems: dict[str, System] = {}
"""Of a worker process."""


def _run_task(pair: Pair, cells: Sequence[Cell], builds: Mapping[str, Entry], seed: int) -> list[list[Row]]:
    for name, entry in builds.items():
        if name not in _systems:
            _systems[name] = entry.build()
    return [measure(cell, _systems[cell.system], pair, seed) for cell in cells]
