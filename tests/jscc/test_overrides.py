import pytest

from jscc.config import preset
from jscc.data import Mixture
from jscc.draws import LinkDraws
from jscc.overrides import changed


def test_changes_reach_their_part_and_keep_their_type() -> None:
    changes = [
        "codec.epipolar=false",
        "codec.decoder_widths=[16,32,8]",
        "codec.upsampling=transposed",
        "mixture.mono_share=0",
        "mixture.scales=[1.6,2]",
    ]
    codec, mixture = changed(preset("tiny"), changes, "codec"), changed(Mixture(), changes, "mixture")
    assert (codec.epipolar, codec.decoder_widths, codec.upsampling) == (False, (16, 32, 8), "transposed")
    assert (mixture.mono_share, mixture.scales) == (0.0, (1.6, 2.0))
    assert [type(value) for value in (mixture.mono_share, *mixture.scales)] == [float] * 3
    assert changed(LinkDraws(), changes, "draws") == LinkDraws()


def test_the_last_of_two_changes_counts() -> None:
    assert changed(LinkDraws(), ["draws.absent_other=0.1", "draws.absent_other=0.2"], "draws").absent_other == 0.2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("epipolar=false", r"write PART\.KEY=VALUE, with PART one of codec, mixture, draws"),
        ("codec.epipolar", r"write PART\.KEY=VALUE"),
        ("model.epipolar=false", r"with PART one of codec"),
        ("codec.epipolr=false", "unknown key 'epipolr'; codec has encoder_widths"),
        ("codec.epipolar=1", "the value must be like true"),
        ("codec.epipolar=no", "the value must be like true"),
        ("codec.epipolar_heads=2.5", "the value must be like 4"),
        ("codec.decoder_widths=[1,2]", r"the value must be like \[128, 80, 16\]"),
        ("codec.decoder_widths=[128,80,true]", r"the value must be like \[128, 80, 16\]"),
        ("codec.epipolar_heads=3", "must divide the decoder's width"),
        ("codec.upsampling=nearest", "allowed: 'pixel_shuffle', 'transposed'"),
    ],
)
def test_what_is_not_understood_is_named(change: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        changed(preset("small"), [change], "codec")
