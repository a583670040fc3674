"""PSNR of both views over the two links' SNRs: `vergence bench grid`."""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deploy.bench.offline import OfflineCodec, load_pairs, size_of, transmit
from deploy.local.stack import FOOTAGE
from wire import codec
from wire.geometry import DEFAULT_SIZE

DEFAULT_SNRS = (-2.0, 2.0, 6.0, 10.0, 12.0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pairs", type=Path, default=FOOTAGE, help="folder with left/ and right/ (default: the clip)")
    parser.add_argument(
        "--size", default=str(DEFAULT_SIZE), help="of the pictures, rows x columns (default %(default)s)"
    )
    parser.add_argument("--codec", default=codec.DEFAULT, help="shipped name or folder (default %(default)s)")
    parser.add_argument("--snr", type=float, nargs="+", default=DEFAULT_SNRS, help="SNRs in dB of each link")
    parser.add_argument("--seed", type=int, default=0, help="of the noise; every cell meets the same realisation")


def run(arguments: argparse.Namespace) -> int:
    """Print a Markdown table: rows the left link, columns the right link, cells `left / right` in dB."""
    pairs, of = load_pairs(arguments.pairs, size_of(arguments.size)), OfflineCodec.load(arguments.codec)
    snrs = sorted(arguments.snr)
    table = grid(of, pairs, snrs, arguments.seed)
    print(f"PSNR in dB, left / right, mean over {len(pairs)} pairs, AWGN, codec {of.decoder.codec_hash}\n")
    print("| left link \\ right link | " + " | ".join(f"{mu:g} dB" for mu in snrs) + " |")
    print("|---|" + "---|" * len(snrs))
    for mu, row in zip(snrs, table, strict=True):
        print(f"| {mu:g} dB | " + " | ".join(f"{left:.2f} / {right:.2f}" for left, right in row) + " |")
    own, neighbour = smallest_steps(table)
    print(f"\nsmallest step with the own SNR: {own:+.3f} dB; with the neighbour's SNR: {neighbour:+.3f} dB")
    return 0


def grid(of: OfflineCodec, pairs: NDArray[np.float32], snrs: list[float], seed: int) -> NDArray[np.float64]:
    """Mean PSNR in dB, [left SNR, right SNR, view]."""
    return np.array([[transmit(of, pairs, (left, right), seed).mean(axis=0) for right in snrs] for left in snrs])


def smallest_steps(table: NDArray[np.float64]) -> tuple[float, float]:
    """The smallest change of a view's PSNR in dB from one SNR to the next: of its own link, of the other link."""
    left_rows, left_columns = np.diff(table[..., 0], axis=0), np.diff(table[..., 0], axis=1)
    right_rows, right_columns = np.diff(table[..., 1], axis=0), np.diff(table[..., 1], axis=1)
    own = min(left_rows.min(), right_columns.min())
    return float(own), float(min(left_columns.min(), right_rows.min()))
