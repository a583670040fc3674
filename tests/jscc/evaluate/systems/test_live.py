import numpy as np
import pytest

from jscc.evaluate.coding.ldpc import MODES
from jscc.evaluate.systems.base import CHANNELS, Pair
from jscc.evaluate.systems.live import THRESHOLDS_DB, best_mode, transmit_live
from wire.quality import psnr
from wire.runtime.errors import UserError


def test_every_mode_has_a_threshold_and_faster_modes_need_more() -> None:
    for channel in CHANNELS:
        assert [mode.name for mode in MODES] == list(THRESHOLDS_DB[channel])
        assert list(THRESHOLDS_DB[channel].values()) == sorted(THRESHOLDS_DB[channel].values())


def test_the_mode_adapts_to_the_snr() -> None:
    names = [best_mode(snr).name for snr in (-10.0, 2.0, 30.0)]
    assert names == ["qpsk-1/5", "qpsk-1/2", "64qam-1/2"]


@pytest.mark.usefixtures("needs_hevc", "needs_ldpc")
def test_one_frame_arrives_above_the_cliff_and_turns_flat_below(pair: Pair) -> None:
    mode = best_mode(2.0)
    above = transmit_live(pair.views[0], 3.0, mode=mode, rng=np.random.default_rng(0))
    below = transmit_live(pair.views[0], -1.0, mode=mode, rng=np.random.default_rng(0))
    assert (above.arrived, below.arrived) == (True, False)
    assert 0 < above.bytes <= mode.budget_bytes
    assert psnr(above.picture, pair.truth[0]) > psnr(below.picture, pair.truth[0]) + 3
    assert np.ptp(below.picture, axis=(1, 2)).max() == 0


@pytest.mark.parametrize("shape", [(128, 256, 3), (3, 64, 64)])
def test_a_picture_of_another_kind_is_told(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="give one of 3x128x256 uint8"):
        transmit_live(np.zeros(shape, np.uint8), 3.0)
    with pytest.raises(UserError, match="float64"):
        transmit_live(np.zeros((3, 128, 256)), 3.0)  # type: ignore[arg-type]
