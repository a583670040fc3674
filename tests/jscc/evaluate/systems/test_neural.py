"""The paper's systems on the bench, with tiny untrained networks."""

import numpy as np
import pytest
import torch

from jscc.evaluate.links import noise_of
from jscc.evaluate.systems import neural
from jscc.evaluate.systems.base import Pair, Sent
from jscc.evaluate.systems.neural import DELTAS, NeuralSystem
from jscc.model.codec import Codec, JointCodec
from jscc.model.config import preset
from tests.jscc.evaluate.conftest import made_up_pair
from wire.geometry import PictureSize
from wire.runtime.errors import UserError


def codec(*, joint: bool) -> Codec:
    torch.manual_seed(0)
    return Codec(JointCodec(preset("tiny", joint=joint)), "0123456789abcdef")


def transmit(system: NeuralSystem, pair: Pair, snr_left: float, snr_right: float) -> Sent:
    return system.transmit(pair, snr_left, snr_right, "awgn", noise_of(0, pair.name, snr_left))


def test_pictures_come_back_in_shape_for_5120_symbols(pair: Pair) -> None:
    sent = transmit(NeuralSystem(codec(joint=True), DELTAS["proposed-1"]), pair, 4.0, 14.0)
    assert sent.pictures.shape == (2, 3, 128, 256)
    assert sent.pictures.dtype == np.float32
    assert 0 <= sent.pictures.min() <= sent.pictures.max() <= 1
    assert (sent.symbols, sent.bytes) == ((5120, 5120), None)


def test_every_size_has_its_own_number_of_symbols() -> None:
    wide = made_up_pair(size=PictureSize(144, 272))
    sent = transmit(NeuralSystem(codec(joint=True), DELTAS["proposed-1"]), wide, 4.0, 14.0)
    assert sent.pictures.shape == (2, 3, 144, 272)
    assert sent.symbols == (6120, 6120)


def test_the_baseline_does_not_care_about_the_other_link(pair: Pair) -> None:
    system = NeuralSystem(codec(joint=False), DELTAS["baseline"])
    alike, apart = transmit(system, pair, 4.0, 4.0), transmit(system, pair, 4.0, float("inf"))
    np.testing.assert_allclose(alike.pictures[0], apart.pictures[0], atol=1e-6)
    assert np.abs(alike.pictures[1] - apart.pictures[1]).max() > 1e-4


def test_weights_of_the_wrong_kind_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neural, "_load_codec", lambda name, weights: (codec(joint=name == "baseline"), ""))
    with pytest.raises(UserError, match=r"^baseline cannot use the weights x: they decode both views jointly$"):
        NeuralSystem.load("baseline", "x")
    with pytest.raises(UserError, match=r"^proposed-2 cannot use the weights x: they decode each view alone$"):
        NeuralSystem.load("proposed-2", "x")


def test_weights_that_are_not_there_are_one_line() -> None:
    with pytest.raises(UserError, match=r"^proposed-1 has no weights no-such-weights: "):
        NeuralSystem.load("proposed-1", "no-such-weights")


def test_an_absent_view_says_nothing_about_itself(pair: Pair) -> None:
    """The view that arrives is decoded alone: whatever the other camera saw changes nothing."""
    system = NeuralSystem(codec(joint=True), DELTAS["proposed-absent"])
    alone = transmit(system, pair, 4.0, float("-inf")).pictures[0]
    other = Pair(pair.name, np.stack([pair.views[0], 255 - pair.views[1]]))
    assert np.array_equal(alone, transmit(system, other, 4.0, float("-inf")).pictures[0])
    assert np.abs(alone - transmit(system, pair, 4.0, 4.0).pictures[0]).max() > 1e-5
