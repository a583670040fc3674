import numpy as np
import pytest

from channel_emulator.channel.power import check
from channel_emulator.channel.randomness import RandomStreams
from channel_emulator.channel.settings import Settings
from channel_emulator.links.link import Delivered, Link
from channel_emulator.relay.frames import process_frame
from wire.contract.arrays import pack_complex, unpack_complex
from wire.contract.link_settings import Csi, Model, PowerPolicy
from wire.geometry import DEFAULT_SIZE, LARGEST_SIZE, SYMBOLS, PictureSize
from wire.runtime.errors import FrameError
from wire.runtime.grpc_kit import max_request
from wire.units import mean_power, normalise_power
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.views import View

UNIT = np.full(SYMBOLS, np.complex64(0.6 + 0.8j))


@pytest.mark.parametrize("policy", list(PowerPolicy))
def test_unit_power_passes_untouched(policy: PowerPolicy) -> None:
    checked = check(UNIT, policy, 1e-3)
    assert checked.symbols is UNIT
    assert checked.power == pytest.approx(1.0)
    assert not checked.unusual


def test_another_power_is_rejected_scaled_or_passed_on() -> None:
    loud = UNIT * np.float32(2.0)
    with pytest.raises(FrameError, match=r"mean power \|s\|\^2 is 4 and must be 1 within 0.001; scale") as refused:
        check(loud, PowerPolicy.REJECT, 1e-3)
    assert refused.value.reason == "power"
    normalised = check(loud, PowerPolicy.NORMALISE, 1e-3)
    assert mean_power(normalised.symbols) == pytest.approx(1.0)
    assert (normalised.power, normalised.unusual) == (pytest.approx(4.0), True)
    warned = check(loud, PowerPolicy.WARN, 1e-3)
    assert warned.symbols is loud
    assert warned.unusual


def test_silence_cannot_be_normalised() -> None:
    with pytest.raises(FrameError, match="is 0 and must be 1"):
        check(np.zeros(SYMBOLS, np.complex64), PowerPolicy.NORMALISE, 1e-3)


@pytest.mark.parametrize("policy", list(PowerPolicy))
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_is_rejected_under_every_policy(policy: PowerPolicy, value: float) -> None:
    symbols = UNIT.copy()
    symbols[[3, 77]] = value
    with pytest.raises(FrameError, match="2 of 5120 symbols are NaN or infinite") as refused:
        check(symbols, policy, 1e-3)
    assert refused.value.reason == "not_finite"


def test_a_power_beyond_all_measure_is_the_power_and_not_a_nan() -> None:
    with pytest.raises(FrameError, match="too large") as refused:
        check(UNIT * np.float32(1e30), PowerPolicy.WARN, 1e-3)
    assert refused.value.reason == "power"


def link(settings: Settings) -> Link:
    return Link("demo", View.LEFT, settings, RandomStreams(1, "demo", View.LEFT), now=0.0)


@pytest.mark.parametrize("size", [DEFAULT_SIZE, PictureSize(256, 512), PictureSize(144, 272), LARGEST_SIZE], ids=str)
def test_a_frame_has_the_symbols_of_its_streams_size(size: PictureSize) -> None:
    settings = Settings(model=Model.RAYLEIGH, coherence=1)
    symbols = normalise_power(np.random.default_rng(1).standard_normal(2 * size.symbols, np.float32).view(np.complex64))
    frame = link_pb2.SymbolFrame(sequence=1, symbols=pack_complex(symbols, "f16"))
    assert isinstance(process_frame(link(settings), frame, 0.0, size), Delivered)
    assert (frame.symbols.count, frame.channel_state.gain.count) == (size.symbols, size.symbols)
    assert frame.ByteSize() < max_request(size)
    for wrong in (symbols[1:], np.concatenate([symbols, symbols]), symbols[:0]):
        problem = process_frame(link(settings), link_pb2.SymbolFrame(symbols=pack_complex(wrong)), 0.0, size)
        assert isinstance(problem, FrameError)
        assert problem.reason == "shape"
        assert str(problem) == (
            f"a picture of {size} is {size.symbols} complex symbols, but {wrong.size} came; send {size.symbols}"
        )


def test_one_gain_serves_a_frame_that_is_shorter_than_the_coherence() -> None:
    frame = link_pb2.SymbolFrame(sequence=1, symbols=pack_complex(UNIT))
    settings = Settings(model=Model.RAYLEIGH, coherence=LARGEST_SIZE.symbols)
    assert isinstance(process_frame(link(settings), frame, 0.0), Delivered)
    assert (frame.channel_state.gain.count, frame.channel_state.coherence) == (1, 81920)


@pytest.mark.parametrize("sample_type", ["f32", "f16", "i8"])
def test_an_honest_picture_passes_in_every_sample_type(sample_type: str) -> None:
    drawn = np.random.default_rng(1).standard_normal((20, 2 * SYMBOLS)).astype(np.float32).view(np.complex64)
    for symbols in drawn:
        frame = link_pb2.SymbolFrame(sequence=1, symbols=pack_complex(normalise_power(symbols), sample_type))
        assert isinstance(process_frame(link(Settings(model=Model.CLEAN)), frame, now=0.0), Delivered)


def test_a_broken_scale_is_named_and_not_raised() -> None:
    frame = link_pb2.SymbolFrame(sequence=1, symbols=pack_complex(UNIT, "i8"))
    frame.symbols.scale = float("nan")
    outcome = process_frame(link(Settings()), frame, now=0.0)
    assert isinstance(outcome, FrameError)
    assert outcome.reason == "not_finite"


def test_symbols_go_on_in_f32_with_the_channel_state() -> None:
    frame = link_pb2.SymbolFrame(sequence=9, symbols=pack_complex(UNIT, "f16"))
    outcome = process_frame(link(Settings(model=Model.RAYLEIGH, coherence=1000)), frame, now=0.0)
    assert isinstance(outcome, Delivered)
    np.testing.assert_array_equal(unpack_complex(frame.symbols), outcome.output.received)
    assert frame.channel_state.snr_db == 10.0
    assert frame.channel_state.noise_variance == pytest.approx(0.1)
    assert frame.channel_state.coherence == 1000
    assert frame.channel_state.gain.count == 6


@pytest.mark.parametrize("model", list(Model))
def test_any_sequence_can_be_carried(model: Model) -> None:
    frame = link_pb2.SymbolFrame(sequence=2**64 - 1, symbols=pack_complex(UNIT))
    settings = Settings(model=model, loss=0.01, jitter_ms=1.0, csi=Csi.NOISY)
    assert isinstance(process_frame(link(settings), frame, now=0.0), Delivered)
    assert link(settings).delay(2**64 - 1) >= 0.0


def test_no_frame_is_held_back_for_so_long_that_its_edge_gives_the_link_up() -> None:
    late = link(Settings(delay_ms=2000.0, jitter_ms=2000.0))
    delays = [late.delay(sequence) for sequence in range(50)]
    assert max(delays) == 2.0
    assert min(delays) >= 0.0


def test_a_frame_that_has_crossed_a_channel_is_refused_by_a_second_one() -> None:
    frame = link_pb2.SymbolFrame(sequence=1, symbols=pack_complex(UNIT))
    assert isinstance(process_frame(link(Settings(model=Model.CLEAN)), frame, now=0.0), Delivered)
    second = link(Settings())
    problem = process_frame(second, frame, now=0.0)
    assert isinstance(problem, FrameError)
    assert problem.reason == "type"
    assert str(problem).startswith("the frame has crossed a channel already")
    assert second.frames == 0
