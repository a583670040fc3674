"""What the shipped codec makes of fixed inputs, each step of the chain fed with stored inputs of its own.

`python -m tests.golden.outputs` writes tests/golden/values.npz and rows.csv anew: only after a change that is meant to
change them, such as new weights, and with the reason in the commit.
"""

import csv
import io
import tempfile
from functools import cache
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from center.decode.engines import Batch, OnnxEngine
from center.ingest.equaliser import mmse
from channel_emulator.channel.awgn import apply_channel
from channel_emulator.channel.randomness import RandomStreams
from channel_emulator.channel.settings import Settings
from channel_emulator.channel.snr import Fixed
from edge.camera.framing import fit
from edge.encode.encoder import Encoder
from jscc.evaluate.rows import Row
from jscc.evaluate.session import Request, read_scenes, run_session
from jscc.evaluate.systems.base import Channel
from wire import units
from wire.contract.link_settings import Model
from wire.pictures import read_picture
from wire.views import View

HERE = Path(__file__).parent
VALUES, ROWS = HERE / "values.npz", HERE / "rows.csv"
FOOTAGE = HERE.parents[1] / "deploy" / "local" / "footage"
NAME, SNR_DB, SEQUENCE = "000003.jpg", 5.0, 42
EVERY = 16
"""Of symbols every sixteenth is kept, of pictures every eighth row and column."""
NETWORKS = ("proposed-1", "proposed-2", "baseline")
SYSTEMS: dict[Channel, tuple[str, ...]] = {
    "awgn": (*NETWORKS, "bpg-capacity", "jpeg2000-capacity"),
    "rayleigh": NETWORKS,
}

Arrays = dict[str, NDArray[Any]]


def inputs() -> NDArray[np.uint8]:
    """The pair of the demo clip as the edges frame it: uint8 [2, 128, 256, 3]."""
    return np.stack([fit(read_picture(FOOTAGE / view.value / NAME)) for view in View])


@cache
def symbols() -> NDArray[np.complex64]:
    """Both views encoded for 7 dB: complex64 [2, 5120]."""
    encoder = Encoder("small-joint", threads=1)
    return np.stack([encoder.encode(picture, 7.0) for picture in inputs()])


def sent() -> NDArray[np.complex64]:
    """Unit-power symbols that owe nothing to the encoder, complex64 [5120]: sixteen points on a circle, in turn."""
    return np.exp(2j * np.pi * (np.arange(5120) * 7 % 16) / 16).astype(np.complex64)


def channels() -> Arrays:
    """What arrives at 5 dB over each model of the emulator, and what the center's equaliser makes of it."""
    found: Arrays = {}
    for model in (Model.AWGN, Model.RAYLEIGH, Model.RICIAN, Model.JAKES):
        settings = Settings(model=model, snr=Fixed(SNR_DB), coherence=64)
        out = apply_channel(sent(), settings, SNR_DB, RandomStreams(7, "demo", View.LEFT), SEQUENCE)
        gain = None if out.known is None else out.known.per_symbol(5120)
        estimate, reliability = mmse(out.received, gain, units.noise_variance(SNR_DB))
        found[f"received {model.value}"] = out.received[::EVERY]
        found[f"estimate {model.value}"] = estimate[::EVERY]
        found[f"reliability {model.value}"] = reliability[::EVERY]
    return found


def batch() -> Batch:
    """Two pairs: both views over AWGN at 5 dB; the left alone."""
    made = Batch.absent(2)
    for place, view in enumerate(View):
        out = apply_channel(
            symbols()[place], Settings(snr=Fixed(SNR_DB)), SNR_DB, RandomStreams(7, "demo", view), SEQUENCE
        )
        estimate, reliability = mmse(out.received, None, units.noise_variance(SNR_DB))
        for pair in (0, 1) if view is View.LEFT else (0,):
            made.symbols[pair, place] = estimate.view(np.float32).reshape(-1, 2)
            made.reliability[pair, place], made.snr_db[pair, place] = reliability, SNR_DB
    return made


def seen(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """The part of float32 [2, 2, 3, 128, 256] that is kept: no picture of the view that never came."""
    return pictures.reshape(4, *pictures.shape[2:])[:3, :, ::8, ::8]


def compute() -> Arrays:
    """All values by name."""
    decoded = OnnxEngine("small-joint", threads=1).decode(batch())
    return {"symbols": symbols()[:, ::EVERY], **channels(), "pictures": seen(decoded)}


def bench(out: Path) -> list[Row]:
    """Rows of the bench for the one pair, in the order of the table."""
    for view in View:
        (out / "pairs" / view.value).mkdir(parents=True)
        copyfile(FOOTAGE / view.value / NAME, out / "pairs" / view.value / NAME)
    torch.set_num_threads(1)  # as `python -m jscc.evaluate` does
    scenes, rows = read_scenes(out / "pairs"), []
    for channel, systems in SYSTEMS.items():
        request = Request(systems, (channel,), (SNR_DB,), (0.0, 10.0))
        rows += run_session(scenes, request, out / channel, io.StringIO())
    return rows


def store() -> None:
    """Write both files."""
    np.savez_compressed(VALUES, allow_pickle=False, **compute())
    with tempfile.TemporaryDirectory() as folder, ROWS.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["system", "channel", "snr", "delta", "view", "psnr", "ms_ssim", "bytes"])
        for row in bench(Path(folder)):
            size = "" if row.bytes is None else row.bytes
            numbers = f"{row.psnr:.4f}", f"{row.ms_ssim:.5f}"
            writer.writerow([row.system, row.channel, f"{row.snr:g}", f"{row.delta:g}", row.view, *numbers, size])


if __name__ == "__main__":
    store()
