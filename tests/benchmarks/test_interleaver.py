"""The table of ADR 12: a fade that takes a fifth of the symbols in one piece costs less where they are spread."""

import numpy as np
import pytest

from benchmarks import interleaver
from deploy.bench.offline import Pictures, load_pairs
from deploy.local.stack import FOOTAGE
from jscc.model.interleaver import INTERLEAVERS


@pytest.fixture(scope="module")
def pair() -> Pictures:
    return load_pairs(FOOTAGE)[0]


def test_a_fade_costs_less_where_symbols_are_spread(pair: Pictures) -> None:
    gains, noise = np.ones((2, 5120), np.complex64), np.zeros((2, 5120), np.complex64)
    both = {order: interleaver.ordered("small-joint", order) for order in INTERLEAVERS}
    whole = {order: interleaver.transmit(codec, pair, 12.0, gains, noise) for order, codec in both.items()}
    assert whole["golden"] == pytest.approx(whole["none"], abs=1e-3)
    gains[:, 1000:2024] = 0.0
    faded = {order: interleaver.transmit(codec, pair, 12.0, gains, noise) for order, codec in both.items()}
    assert faded["golden"] > faded["none"] + 0.5
    assert whole["golden"] > faded["golden"]


def test_the_command_prints_a_row_for_each_snr(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(interleaver, "load_pairs", lambda folder: load_pairs(folder)[:1])
    monkeypatch.setattr(interleaver, "DOPPLERS", (1e-3,))
    interleaver.main(["--pairs", str(FOOTAGE), "--times", "1"])
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert head == "| gain, dB | fd Ts = 0.001 |"
    assert [row.split(" | ")[0] for row in rows] == ["| 0 dB", "| 6 dB", "| 12 dB"]
    with pytest.raises(SystemExit, match=r"^python -m benchmarks\.interleaver: "):
        interleaver.main(["--pairs", "nowhere"])
