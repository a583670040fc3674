import numpy as np

from channel_emulator.channel.awgn import apply_channel
from channel_emulator.channel.randomness import Purpose, RandomStreams, complex_normal
from channel_emulator.channel.settings import Settings
from wire.contract.link_settings import Csi, Model
from wire.geometry import SYMBOLS
from wire.views import View


def noise(seed: int, rig: str, view: View, purpose: Purpose, sequence: int) -> bytes:
    return complex_normal(RandomStreams(seed, rig, view).of(purpose, sequence), 64).tobytes()


def test_equal_keys_make_equal_noise_and_any_other_key_makes_other_noise() -> None:
    here = (1, "demo", View.LEFT, Purpose.NOISE, 7)
    others = [
        (2, "demo", View.LEFT, Purpose.NOISE, 7),
        (1, "other", View.LEFT, Purpose.NOISE, 7),
        (1, "demo", View.RIGHT, Purpose.NOISE, 7),
        (1, "demo", View.LEFT, Purpose.GAIN, 7),
        (1, "demo", View.LEFT, Purpose.NOISE, 8),
    ]
    assert noise(*here) == noise(*here)
    assert len({noise(*key) for key in [here, *others]}) == 6


def test_the_key_does_not_depend_on_the_machine_or_the_day() -> None:
    """Golden: made once with numpy 2; a change here breaks every recorded experiment."""
    drawn = complex_normal(RandomStreams(1, "demo", View.LEFT).of(Purpose.NOISE, 1), 2)
    np.testing.assert_allclose(drawn, GOLDEN, rtol=1e-6)


def test_frames_in_any_order_meet_the_same_channel() -> None:
    settings = Settings(model=Model.RAYLEIGH, coherence=16, csi=Csi.NOISY)
    symbols = np.ones(SYMBOLS, np.complex64)

    def received(sequence: int) -> bytes:
        return apply_channel(symbols, settings, 5.0, RandomStreams(1, "demo", View.LEFT), sequence).received.tobytes()

    forwards = {sequence: received(sequence) for sequence in (1, 2, 3)}
    backwards = {sequence: received(sequence) for sequence in (3, 2, 1)}
    assert forwards == backwards
    assert len(set(forwards.values())) == 3


def test_a_frame_keeps_its_noise_when_another_impairment_is_switched_on() -> None:
    symbols = np.ones(SYMBOLS, np.complex64)
    streams = RandomStreams(1, "demo", View.LEFT)
    plain = apply_channel(symbols, Settings(), 5.0, streams, 3)
    noisy_csi = apply_channel(symbols, Settings(csi=Csi.NOISY, loss=0.5), 5.0, streams, 3)
    np.testing.assert_array_equal(plain.received, noisy_csi.received)


GOLDEN = np.array([0.575316 + 0.04802703j, 0.03800988 - 0.7122111j], np.complex64)
