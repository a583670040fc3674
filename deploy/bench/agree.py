"""Does the live system reach the PSNR of the codec alone? `vergence bench agree`."""

import argparse
import time
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploy.bench.arguments import positive
from deploy.bench.offline import OfflineCodec, load_pairs, transmit
from deploy.bench.watch import PairWatcher
from deploy.local.stack import FOOTAGE, Ports, running
from wire.views import View

LIMIT_DB: Final = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--left", type=float, default=10.0, help="SNR of the left link, dB (default %(default)s)")
    parser.add_argument("--right", type=float, default=1.0, help="SNR of the right link, dB (default %(default)s)")
    parser.add_argument("--seconds", type=positive, default=30.0, help="how long to watch (default %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Print live and offline PSNR of the same frames; 1 if they differ by more than 0.1 dB, or none was measured."""
    snrs = (arguments.left, arguments.right)
    pairs = load_pairs(FOOTAGE)
    offline = transmit(OfflineCodec.load(), pairs, snrs).mean(axis=0)
    live, frames = watch(snrs, arguments.seconds, len(pairs))
    print(f"\n| view | link SNR | offline, {len(pairs)} frames | live, {frames} frames | difference |")
    print("|---|---|---|---|---|")
    for view, mu, alone, system in zip(View, snrs, offline, live, strict=True):
        print(f"| {view} | {mu:g} dB | {alone:.3f} dB | {system:.3f} dB | {system - alone:+.3f} dB |")
    return int(not np.max(np.abs(live - offline)) <= LIMIT_DB)  # of nothing that was measured it is NaN


def watch(snr_db: tuple[float, float], seconds: float, clip: int) -> tuple[NDArray[np.float64], int]:
    """Mean live PSNR in dB of both views, every frame referenced, each picture of the clip counting the same."""
    environment = {
        "VERGENCE_EDGE__REFERENCE__EVERY": "1",
        "VERGENCE_EMULATOR__LINKS__0__SNR_DB": str(snr_db[0]),
        "VERGENCE_EMULATOR__LINKS__1__SNR_DB": str(snr_db[1]),
    }
    of_frame: dict[tuple[int, View], list[float]] = {}
    with running(Ports.free(), print, environment) as stack:
        watcher = PairWatcher(f"{stack.ports.host}:{stack.ports.center}")
        began = time.monotonic()
        time.sleep(seconds)
        seen = [sighting for sighting in watcher.since(began) if sighting.paired]
        watcher.close()
    for sighting in seen:
        picture = round(sighting.captured_at_ns / 1e8) % clip  # the clip runs at 10 frames a second
        for view, decibels in sighting.psnr_db.items():
            of_frame.setdefault((picture, view), []).append(decibels)
    means = [np.mean([np.mean(of_frame[i, view]) for i in range(clip) if (i, view) in of_frame]) for view in View]
    return np.array(means), len({sighting.captured_at_ns for sighting in seen if sighting.psnr_db})
