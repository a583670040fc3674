"""Statistics of every channel model. Frames of 5120 symbols, 200 of them: 1.02e6 symbols.

The estimate of N0 over 1e6 complex symbols has a relative standard deviation of 1e-3, which is 0.0043 dB:
0.05 dB are eleven of them, so a wrong factor of two (3 dB) or a missing 1/sqrt(2) cannot hide and chance
cannot fail the test. Seeds are fixed all the same.
"""

import numpy as np
import pytest
from numpy.typing import NDArray

from channel_emulator.channel.awgn import apply_channel
from channel_emulator.channel.fading import SINUSOIDS, Gain, draw, jakes
from channel_emulator.channel.randomness import RandomStreams
from channel_emulator.channel.settings import Settings
from wire.contract.link_settings import Csi, Model
from wire.geometry import SYMBOLS
from wire.units import NOISELESS, mean_power, noise_variance, normalise_power
from wire.views import View

CHANCE = RandomStreams(5, "demo", View.LEFT)
FRAMES = 200


def qpsk(sequence: int) -> NDArray[np.complex64]:
    bits = np.random.default_rng(sequence).choice(np.array([-1.0, 1.0], np.float32), (2, SYMBOLS))
    return normalise_power((bits[0] + 1j * bits[1]).astype(np.complex64))


@pytest.mark.parametrize(
    "settings",
    [
        Settings(model=Model.AWGN),
        Settings(model=Model.RAYLEIGH, coherence=1),
        Settings(model=Model.RAYLEIGH, coherence=SYMBOLS),
        Settings(model=Model.RICIAN, coherence=64, k_factor_db=3.0),
        Settings(model=Model.JAKES, doppler=0.01),
    ],
    ids=lambda settings: f"{settings.model}-{settings.coherence}",
)
@pytest.mark.parametrize("snr_db", [-5.0, 10.0])
def test_the_measured_snr_is_the_configured_one(settings: Settings, snr_db: float) -> None:
    noise_power = 0.0
    for sequence in range(FRAMES):
        symbols = qpsk(sequence)
        output = apply_channel(symbols, settings, snr_db, CHANCE, sequence)
        gain = output.known.per_symbol(SYMBOLS) if output.known else 1.0
        noise_power += mean_power(output.received - gain * symbols) / FRAMES
    assert 10.0 * np.log10(1.0 / noise_power) == pytest.approx(snr_db, abs=0.05)


def test_the_noise_is_half_in_each_real_dimension() -> None:
    silence = np.zeros(SYMBOLS, np.complex64)
    noise = np.concatenate([apply_channel(silence, Settings(), 0.0, CHANCE, each).received for each in range(FRAMES)])
    # 1e6 samples: standard deviation of each moment below 1.5e-3.
    assert np.var(noise.real) == pytest.approx(0.5, abs=0.005)
    assert np.var(noise.imag) == pytest.approx(0.5, abs=0.005)
    assert np.mean(noise.real * noise.imag) == pytest.approx(0.0, abs=0.005)


def test_a_clean_link_changes_nothing_and_says_so() -> None:
    symbols = qpsk(1)
    output = apply_channel(symbols, Settings(model=Model.CLEAN), 10.0, CHANCE, 1)
    assert output.received is symbols
    assert output.snr_db == NOISELESS
    assert noise_variance(output.snr_db) == 0.0
    assert output.known is None


def test_an_infinite_snr_fades_without_noise() -> None:
    symbols = qpsk(1)
    output = apply_channel(symbols, Settings(model=Model.RAYLEIGH), NOISELESS, CHANCE, 1)
    assert output.known is not None
    np.testing.assert_allclose(output.received, output.known.h[0] * symbols, rtol=1e-6)
    assert output.measured_snr_db == NOISELESS


def gains(settings: Settings, frames: int) -> NDArray[np.complex64]:
    drawn = [draw(settings, CHANCE, sequence, SYMBOLS) for sequence in range(frames)]
    return np.concatenate([gain.h for gain in drawn if gain is not None])


@pytest.mark.parametrize(
    "settings",
    [
        Settings(model=Model.RAYLEIGH, coherence=1),
        Settings(model=Model.RICIAN, coherence=1, k_factor_db=0.0),
        Settings(model=Model.RICIAN, coherence=1, k_factor_db=10.0),
        Settings(model=Model.JAKES, doppler=0.1),
    ],
    ids=lambda settings: f"{settings.model}-{settings.k_factor_db:g}",
)
def test_the_gain_has_unit_mean_power(settings: Settings) -> None:
    # |h|^2 is exponential at worst: standard deviation 1, over 1e6 gains 1e-3; Jakes at 0.1 cycles a symbol
    # has fewer independent gains (about one in five): 2e-3. So 0.01 is five of them at least.
    assert mean_power(gains(settings, FRAMES)) == pytest.approx(1.0, abs=0.01)


def test_rayleigh_gains_are_circular_with_an_exponential_power() -> None:
    h = gains(Settings(model=Model.RAYLEIGH, coherence=1), FRAMES)
    assert abs(np.mean(h)) < 0.005
    assert abs(np.mean(h * h)) < 0.005
    assert np.mean(np.abs(h) ** 4) == pytest.approx(2.0, abs=0.03)  # standard deviation sqrt(20 / 1e6) = 0.0045
    assert np.mean(np.abs(h) ** 2 > 1.0) == pytest.approx(np.exp(-1.0), abs=0.003)


@pytest.mark.parametrize("k_factor_db", [-3.0, 6.0])
def test_rician_moments_are_those_of_k(k_factor_db: float) -> None:
    k = 10.0 ** (k_factor_db / 10.0)
    h = gains(Settings(model=Model.RICIAN, coherence=1, k_factor_db=k_factor_db), FRAMES)
    # Standard deviation of the mean below 1e-3, of the moments below 5e-3.
    assert np.mean(h) == pytest.approx((k / (k + 1.0)) ** 0.5, abs=0.005)
    assert np.var(h) == pytest.approx(1.0 / (k + 1.0), abs=0.005)
    fourth = (k**2 + 4.0 * k + 2.0) / (k + 1.0) ** 2
    assert np.mean(np.abs(h) ** 4) == pytest.approx(fourth, abs=0.03)


J0 = {
    0.0: 1.0,
    0.5: 0.93846981,
    1.0: 0.76519769,
    2.0: 0.22389078,
    2.404825558: 0.0,
    3.831705970: -0.40275940,
    5.0: -0.17759677,
}
"""Abramowitz and Stegun, table 9.1 and the zeros of table 9.5."""


def test_the_autocorrelation_of_jakes_is_j0() -> None:
    # 2000 independent processes of equal law: each estimate has a standard deviation below 1/sqrt(2000) = 0.022.
    # Averaging over 64 places within a process halves it at least; 0.06 is more than five of what remains.
    doppler = 0.01
    generator = np.random.default_rng(3)
    h = np.stack([jakes(doppler, 0, 200, generator) for _ in range(2000)])
    for argument, expected in J0.items():
        lag = round(argument / (2.0 * np.pi * doppler))
        exact = np.mean(np.cos(2.0 * np.pi * doppler * lag * np.cos(np.pi * (np.arange(4096) + 0.5) / 4096)))
        assert exact == pytest.approx(expected, abs=0.02)  # the lag is a whole number of symbols
        measured = np.mean(h[:, lag : lag + 64] * np.conj(h[:, :64]))
        assert abs(measured - exact) < 0.06


def test_jakes_over_time_behaves_as_over_many_links() -> None:
    # One link for 2^19 symbols at 0.05 cycles a symbol: 26,000 cycles, of which the slowest beat between two
    # neighbouring waves (0.0096 of the Doppler) sees 250; 0.05 is generous for sums of 32 waves.
    doppler = 0.05
    h = jakes(doppler, 0, 2**19, np.random.default_rng(3))
    for argument in (0.0, 1.0, 2.4, 3.8, 7.0):
        lag = round(argument / (2.0 * np.pi * doppler))
        exact = np.mean(np.cos(2.0 * np.pi * doppler * lag * np.cos(np.pi * (np.arange(4096) + 0.5) / 4096)))
        measured = np.mean(h[lag:] * np.conj(h[: h.size - lag]))
        assert abs(measured - exact) < 0.05
    assert np.mean(np.abs(h) ** 4) == pytest.approx(2.0 - 1.0 / SINUSOIDS, abs=0.1)


def test_jakes_goes_on_smoothly_from_frame_to_frame() -> None:
    settings = Settings(model=Model.JAKES, doppler=1e-4)
    first, second = (draw(settings, CHANCE, sequence, SYMBOLS) for sequence in (41, 42))
    assert first is not None
    assert second is not None
    step = np.abs(np.diff(np.concatenate([first.h, second.h])))
    assert step.max() < 2.0 * np.pi * 1e-4 * SINUSOIDS**0.5  # no wave turns by more a symbol
    assert step[SYMBOLS - 1] < 3.0 * np.median(step[SYMBOLS - 100 : SYMBOLS + 100])


def test_symbols_of_one_coherence_block_share_their_gain() -> None:
    settings = Settings(model=Model.RAYLEIGH, coherence=1000)
    output = apply_channel(np.ones(SYMBOLS, np.complex64), settings, NOISELESS, CHANCE, 1)
    assert output.known is not None
    assert output.known.h.shape == (6,)  # five whole blocks and a shorter one
    blocks = [output.received[start : start + 1000] for start in range(0, SYMBOLS, 1000)]
    assert [len(set(block.tolist())) for block in blocks] == [1] * 6
    assert len(set(output.received.tolist())) == 6


def known(settings: Settings) -> Gain | None:
    return apply_channel(qpsk(1), settings, 10.0, CHANCE, 1).known


def test_what_the_receiver_knows_of_the_gain() -> None:
    assert known(Settings(model=Model.AWGN)) is None
    assert known(Settings(model=Model.RAYLEIGH, csi=Csi.NONE)) is None
    perfect = known(Settings(model=Model.RAYLEIGH, coherence=1))
    noisy = known(Settings(model=Model.RAYLEIGH, coherence=1, csi=Csi.NOISY, csi_error=0.3))
    assert perfect is not None
    assert noisy is not None
    # 5120 errors: the relative standard deviation of their power is 1/sqrt(5120) = 0.014.
    assert mean_power(noisy.h - perfect.h) == pytest.approx(0.09, rel=0.07)
    flat = known(Settings(model=Model.AWGN, csi=Csi.NOISY))
    assert flat is not None
    assert (flat.h.shape, flat.coherence) == ((1,), SYMBOLS)


def test_the_frame_says_what_snr_it_met() -> None:
    settings = Settings(model=Model.RAYLEIGH)
    output = apply_channel(qpsk(1), settings, 10.0, CHANCE, 1)
    assert output.known is not None
    met = 10.0 + 10.0 * np.log10(abs(output.known.h[0]) ** 2)
    assert output.measured_snr_db == pytest.approx(met, abs=0.4)  # noise of one frame: 0.06 dB
    assert output.snr_db == 10.0
