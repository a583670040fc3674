"""The chain of bits, symbols, channel, soft bits and code, against theory and against its own measured cliffs."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from jscc.evaluate.coding.ldpc import ITERATIONS, MODES, Mode, _Code, transmit_bytes
from jscc.evaluate.links import noise_of, send
from jscc.evaluate.systems.base import Channel, Pair
from jscc.evaluate.systems.registry import search
from jscc.evaluate.systems.separate import LdpcSystem, mean_colour
from wire.geometry import PictureSize

MIDPOINTS_DB = {
    "qpsk-1/5": -3.95,
    "qpsk-1/4": -2.88,
    "qpsk-1/3": -1.32,
    "qpsk-1/2": 0.97,
    "qpsk-2/3": 3.05,
    "16qam-5/12": 4.94,
    "16qam-1/2": 6.28,
    "16qam-2/3": 8.8,
    "64qam-1/2": 10.43,
}
"""Es/N0 at which half of all pictures arrive on AWGN: 64 pictures a point, 0.1 dB apart."""


def test_every_mode_uses_all_symbols_and_no_more() -> None:
    for mode in MODES:
        assert mode.block_length * mode.blocks == 5120 * mode.order
        assert mode.block_bits <= 8448
        assert mode.budget_bytes * 8 <= 5120 * mode.order * mode.rate
    assert [mode.budget_bytes for mode in MODES] == [256, 320, 426, 640, 853, 1066, 1280, 1706, 1920]


@pytest.mark.parametrize("size", ["144x320", "256x512", "464x976", "512x1024"])
def test_larger_pictures_take_several_code_words(size: str) -> None:
    symbols = PictureSize.parse(size).symbols
    for mode in MODES:
        larger = replace(mode, symbols=symbols)
        assert larger.block_length * larger.blocks == symbols * mode.order
        assert larger.block_bits <= 8448
        assert larger.block_length % mode.order == 0
        assert larger.efficiency == pytest.approx(mode.efficiency, rel=0.002)
    assert replace(MODES[-1], symbols=20480).blocks == 8


def mode_named(name: str) -> Mode:
    return next(mode for mode in MODES if mode.name == name)


def limit_db(order: int, rate: float) -> float:
    """Es/N0 where the capacity of Gray-labelled QAM with bit-wise decoding is order * rate bits (Caire et al. 1998)."""
    levels = np.arange(2 ** (order // 2))
    labels, amplitudes = levels ^ (levels >> 1), 2.0 * levels - levels[-1]
    amplitudes /= math.sqrt(2 * np.mean(amplitudes**2))

    def capacity(snr_db: float) -> float:
        n0 = 10 ** (-snr_db / 10)
        y, step = np.linspace(amplitudes[0] - 6 * n0**0.5, amplitudes[-1] + 6 * n0**0.5, 20001, retstep=True)
        density = np.exp(-((y[:, None] - amplitudes) ** 2) / n0) / math.sqrt(math.pi * n0) / len(levels)
        total, bits = density.sum(1), 0.0
        for place in range(order // 2):
            for value in (0, 1):
                own = density[:, labels >> place & 1 == value].sum(1)
                bits += float(np.sum(own * np.log2(np.maximum(2 * own, 1e-300) / total)) * step)
        return 2 * bits

    low, high = -5.0, 15.0
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if capacity(middle) < order * rate else (low, middle)
    return high


def test_cliffs_stand_just_above_the_limit_of_their_mode() -> None:
    """5G codes of this length need 0.7 to 1.1 dB more than the limit with 20 iterations."""
    for mode in MODES:
        distance = MIDPOINTS_DB[mode.name] - limit_db(mode.order, float(mode.rate))
        assert 0.6 < distance < 1.1, mode.name


def q_function(x: float) -> float:
    return 0.5 * math.erfc(x / math.sqrt(2))


def bit_errors(order: int, snr_db: float) -> float:
    """Of Gray-labelled QAM on AWGN; SNR is Es/N0 (Proakis, Digital Communications)."""
    snr = 10 ** (snr_db / 10)
    if order == 2:
        return q_function(math.sqrt(snr))
    near = math.sqrt(snr / 5)
    return 0.75 * q_function(near) + 0.5 * q_function(3 * near) - 0.25 * q_function(5 * near)


def measured_bit_errors(mode: Mode, snr_db: float, channel: Channel, pictures: int = 16) -> float:
    """Of hard decisions on the soft bits, before decoding."""
    code = _Code.of(mode)
    rng = np.random.default_rng(3)
    payloads = [rng.bytes(mode.budget_bytes) for _ in range(pictures)]
    bits = torch.stack([code.to_bits(payload) for payload in payloads])
    received, reliability = send(code.modulate(bits), [snr_db] * pictures, channel, rng)
    sent = code.encoder(bits).flatten(1)
    soft = torch.stack([code.demap(*one) for one in zip(received, reliability, strict=True)])
    return float(((soft > 0).float() != sent).float().mean())


@pytest.mark.usefixtures("needs_ldpc")
class TestChain:
    @pytest.mark.parametrize(
        ("name", "snr_db"), [("qpsk-1/2", 4.0), ("qpsk-1/2", 7.0), ("16qam-1/2", 8.0), ("16qam-1/2", 12.0)]
    )
    def test_uncoded_bit_errors_are_the_theory_within_a_fifth_of_a_decibel(self, name: str, snr_db: float) -> None:
        """16 pictures carry 160,000 bits or more: 3 sigma of the estimate is below 0.1 dB at these rates."""
        mode = mode_named(name)
        found = measured_bit_errors(mode, snr_db, "awgn")
        assert bit_errors(mode.order, snr_db + 0.2) < found < bit_errors(mode.order, snr_db - 0.2)

    def test_uncoded_bit_errors_under_fading_are_the_theory(self) -> None:
        """QPSK on Rayleigh with perfect CSI: (1 - sqrt(g / (1 + g))) / 2 with g = Es/N0 / 2 of one bit."""
        per_bit = 10 ** (10.0 / 10) / 2
        found = measured_bit_errors(mode_named("qpsk-1/2"), 10.0, "rayleigh")
        assert found == pytest.approx((1 - math.sqrt(per_bit / (1 + per_bit))) / 2, rel=0.05)

    @pytest.mark.parametrize("name", ["qpsk-1/5", "qpsk-1/2", "16qam-5/12", "16qam-2/3"])
    def test_the_cliff_stands_within_a_fifth_of_a_decibel_of_its_place(self, name: str) -> None:
        mode = mode_named(name)
        rng = np.random.default_rng(11)
        payloads = [rng.bytes(mode.budget_bytes) for _ in range(4)]
        arrived = {
            offset: sum(
                one is not None
                for one in transmit_bytes(
                    payloads, mode, [MIDPOINTS_DB[mode.name] + offset] * 4, "awgn", np.random.default_rng(5)
                )
            )
            for offset in (-0.2, 0.2)
        }
        assert arrived[-0.2] <= 1
        assert arrived[0.2] >= 3

    def test_decoding_in_looks_finds_the_bits_of_one_long_call(self) -> None:
        """On the cliff, where 3 iterations are not enough and a lost state would show."""
        mode = mode_named("qpsk-1/2")
        code, rng = _Code.of(mode), np.random.default_rng(7)
        bits = torch.stack([code.to_bits(rng.bytes(mode.budget_bytes)) for _ in range(4)])
        received, reliability = send(code.modulate(bits), [MIDPOINTS_DB[mode.name]] * 4, "awgn", rng)
        llr = code.demap(received.flatten(0, 1), reliability.flatten()).reshape(4 * mode.blocks, -1)
        with torch.inference_mode():
            first, *_, last = code.looks(llr)
            whole, _ = code.decoder(llr, num_iter=ITERATIONS)
        assert torch.equal(last, whole)
        assert not torch.equal(first, last)

    def test_both_sides_of_the_cliff_on_a_pair(self, pair: Pair) -> None:
        system = LdpcSystem(search("jpeg2000"), mode_named("qpsk-1/2"))
        sent = system.transmit(pair, 20.0, -10.0, "awgn", noise_of(0, pair.name, 20.0))
        fitted = search("jpeg2000").fit(pair.views[0], 640)
        assert fitted is not None
        assert np.array_equal(sent.pictures[0], fitted.picture)
        assert np.array_equal(sent.pictures[1], mean_colour(pair.views[1]))
        assert sent.symbols == (5120, 5120)
        assert sent.bytes is not None
        assert max(sent.bytes) <= 640

    def test_symbols_have_unit_power(self) -> None:
        for mode in MODES:
            code = _Code.of(mode)
            power = code.modulate(code.to_bits(b"")[None]).square().sum(-1).mean()
            assert float(power) == pytest.approx(1.0, abs=0.03)
