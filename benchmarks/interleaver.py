"""What the order of symbols brings under Jakes fading, ADR 12: `python -m benchmarks.interleaver --pairs FOLDER`.

The same weights send each pair in the order that spreads its symbols and in the encoder's own, over the same gains and
noise, as the channel emulator makes them.
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from center.ingest.equaliser import mmse
from channel_emulator.channel.fading import jakes
from deploy.bench.offline import Pictures, load_pairs
from jscc.model.codec import Codec, JointCodec, load
from jscc.model.interleaver import INTERLEAVERS, Interleaver
from wire import units
from wire.geometry import PictureSize
from wire.quality import psnr
from wire.runtime.errors import UserError

DOPPLERS: Final = (1e-4, 1e-3, 1e-2, 0.1)
SNRS: Final = (0.0, 6.0, 12.0)
SPREAD: Final[Interleaver] = "golden"


def ordered(name: str, interleaver: Interleaver) -> Codec:
    """A codec's weights with its symbols in this order. raises what `load` does"""
    former = load(name)
    model = JointCodec(dataclasses.replace(former.config, interleaver=interleaver))
    model.load_state_dict(former.model.state_dict())
    return Codec(model, former.codec_hash)


def transmit(
    of: Codec, pair: Pictures, snr_db: float, gains: NDArray[np.complex64], noise: NDArray[np.complex64]
) -> float:
    """Send both views over links alike, whose gains the receiver knows.

    pair          float32 [2, 3, rows, columns] in [0, 1]
    snr_db        of both links, dB
    gains, noise  complex64 [2, K]; the noise of unit power
    returns       mean PSNR over both views, dB
    """
    snrs, n0 = torch.full((2,), snr_db), units.noise_variance(snr_db)
    sent = of.encode(torch.from_numpy(pair), snrs).numpy().view(np.complex64)[..., 0]
    equalised, trust = mmse(gains * sent + np.float32(np.sqrt(n0)) * noise, gains, n0)
    symbols = torch.from_numpy(equalised.view(np.float32).reshape(1, 2, -1, 2))
    decoded = of.decode(symbols, torch.from_numpy(trust)[None], snrs[None], PictureSize(*pair.shape[2:]))[0].numpy()
    return float(np.mean([psnr(picture, true) for picture, true in zip(decoded, pair, strict=True)]))


def gain(of: dict[Interleaver, Codec], pairs: Pictures, snr_db: float, doppler: float, times: int) -> float:
    """Mean PSNR in dB by which the spread order is above the encoder's own.

    doppler  fd Ts, cycles a symbol
    times    that each pair is sent, each over fades of its own
    """
    found = []
    for number, pair in enumerate(pairs):
        count = PictureSize(*pair.shape[2:]).symbols
        for time in range(times):
            rng = np.random.default_rng([number, time])
            gains = np.stack([jakes(doppler, 0, count, rng) for _ in range(2)])
            noise = rng.standard_normal((2, count, 2), np.float32).view(np.complex64)[..., 0] / np.float32(np.sqrt(2))
            each = {order: transmit(codec, pair, snr_db, gains, noise) for order, codec in of.items()}
            found.append(each[SPREAD] - each["none"])
    return float(np.mean(found))


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.interleaver", description="The table of ADR 12")
    parser.add_argument("--pairs", type=Path, required=True, help="folder with left/ and right/")
    parser.add_argument("--codec", default="small-joint", help="shipped name or folder (default %(default)s)")
    parser.add_argument("--times", type=int, default=2, help="that each pair is sent (default %(default)s)")
    args = parser.parse_args(arguments)
    try:
        pairs = load_pairs(args.pairs)
        of = {order: ordered(args.codec, order) for order in INTERLEAVERS}
    except (OSError, ValueError, UserError) as error:
        sys.exit(f"{parser.prog}: {error}")
    print("| gain, dB | " + " | ".join(f"fd Ts = {doppler:g}" for doppler in DOPPLERS) + " |")
    print("|---|" + "---|" * len(DOPPLERS))
    for snr_db in SNRS:
        row = [f"{gain(of, pairs, snr_db, doppler, args.times):+.2f}" for doppler in DOPPLERS]
        print(f"| {snr_db:g} dB | " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
