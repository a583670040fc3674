"""Golden outputs of the shipped codec: a change that alters them a little, everywhere and unmeant, is noticed here.

`python -m tests.golden.outputs` made them with one thread on an x86-64 CPU with AVX-512, with onnxruntime 1.32, torch
2.13, NumPy 2.4, OpenCV 5.0, Pillow 13.0 and PyAV 18.1; up to then a digest of the same outputs had stayed the same bit
for bit while all modules were regrouped.

Other CPUs add in another order. Measured with NumPy's and torch's plain kernels in the place of those for AVX-512: at
most 4e-7 in received symbols, 0 in rows of the networks, 0.054 dB in one of BPG at 12 dB; onnxruntime against torch:
7e-7 in pictures. The tolerances are wider, and far below what a change of a rule does (the last test).
"""

import csv
from pathlib import Path

import numpy as np
import pytest

from channel_emulator.channel.awgn import apply_channel
from channel_emulator.channel.randomness import RandomStreams
from channel_emulator.channel.settings import Settings
from edge.encode.encoder import Encoder
from tests.golden import outputs
from wire.views import View

TOLERANCE = {"symbols": 1e-3, "pictures": 1e-3, "received": 1e-5, "estimate": 1e-5, "reliability": 1e-5}


@pytest.fixture(scope="module")
def stored() -> outputs.Arrays:
    with np.load(outputs.VALUES) as file:
        return dict(file)


def test_symbols_channels_and_pictures_are_those_that_are_stored(stored: outputs.Arrays) -> None:
    computed = outputs.compute()
    assert computed.keys() == stored.keys()
    for name, values in stored.items():
        tolerance = TOLERANCE[name.partition(" ")[0]]
        np.testing.assert_allclose(computed[name], values, rtol=0, atol=tolerance, err_msg=name)


def test_torch_decodes_the_pictures_that_are_stored(stored: outputs.Arrays) -> None:
    from center.decode.engines import TorchEngine

    decoded = TorchEngine("small-joint", "cpu", 1).decode(outputs.batch())
    np.testing.assert_allclose(outputs.seen(decoded), stored["pictures"], rtol=0, atol=TOLERANCE["pictures"])


def test_rows_of_the_bench_are_those_that_are_stored(tmp_path: Path) -> None:
    """Source codecs may come with another encoder version: 0.3 dB and 0.01; networks keep 0.01 dB and 0.001."""
    with outputs.ROWS.open(newline="") as file:
        stored = list(csv.DictReader(file))
    computed = {
        (row.system, row.channel, f"{row.snr:g}", f"{row.delta:g}", row.view): row for row in outputs.bench(tmp_path)
    }
    assert len(computed) == len(stored) == 20
    for row in stored:
        found = computed[row["system"], row["channel"], row["snr"], row["delta"], row["view"]]
        scale = 0.01 if row["system"] in outputs.NETWORKS else 0.3
        assert found.psnr == pytest.approx(float(row["psnr"]), abs=scale), row
        assert found.ms_ssim == pytest.approx(float(row["ms_ssim"]), abs=0.001 if scale == 0.01 else 0.01), row
        assert (found.bytes is None) == (row["bytes"] == "")


def test_a_small_change_of_a_rule_is_far_outside_of_the_tolerance(stored: outputs.Arrays) -> None:
    """A crop that is one pixel off, and 0.05 dB of noise."""
    moved = Encoder("small-joint", threads=1).encode(np.roll(outputs.inputs()[0], 1, axis=1), 7.0)
    assert np.abs(moved[:: outputs.EVERY] - stored["symbols"][0]).max() > 100 * TOLERANCE["symbols"]
    streams = RandomStreams(7, "demo", View.LEFT)
    louder = apply_channel(outputs.sent(), Settings(), outputs.SNR_DB - 0.05, streams, outputs.SEQUENCE)
    difference = np.abs(louder.received[:: outputs.EVERY] - stored["received awgn"])
    assert difference.max() > 100 * TOLERANCE["received"]
