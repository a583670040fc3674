import re

import pytest

from jscc.data.batches import Mixture
from jscc.model.config import preset
from jscc.train.link_sampling import LinkSampling
from jscc.train.overrides import changed


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
    assert changed(LinkSampling(), changes, "draws") == LinkSampling()


@pytest.mark.parametrize(
    ("part", "change", "said"),
    [
        ("draws", "absent_other=5", "draws.absent_other is 5.0; it must be in 0...1"),
        ("draws", "fast_fading=-1", "draws.fast_fading is -1.0"),
        ("draws", "fast_fading=NaN", "draws.fast_fading is nan"),
        ("draws", "better_other=0.9", "better_other + draws.noiseless_other + draws.absent_other is 1.08;"),
        ("draws", "block_fading=0.9", "draws.fast_fading + draws.block_fading is 1.05; it must be at most 1"),
        ("mixture", "mono_share=7", "mixture.mono_share is 7.0"),
        ("mixture", "grey_share=0.7", "mixture.mono_share + mixture.grey_share is 1.05"),
        ("mixture", "scales=[3,1]", "mixture.scales is [3.0, 1.0]; it must rise from at least 1"),
        ("mixture", "scales=[0.5,1]", "mixture.scales is [0.5, 1.0]"),
        ("mixture", "scales=[1,Infinity]", "mixture.scales"),
        ("mixture", "largest_disparity=-1", "mixture.largest_disparity is -1.0"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(part: str, change: str, said: str) -> None:
    settings = LinkSampling() if part == "draws" else Mixture()
    with pytest.raises(ValueError, match=re.escape(said)):
        changed(settings, [f"{part}.{change}"], part)


def test_shares_may_fill_the_whole() -> None:
    whole = ["draws.better_other=0.7", "draws.noiseless_other=0.2", "draws.absent_other=0.1"]  # 0.99999... in floats
    assert changed(LinkSampling(), whole, "draws").better_other == 0.7


def test_the_last_of_two_changes_counts() -> None:
    assert changed(LinkSampling(), ["draws.absent_other=0.1", "draws.absent_other=0.2"], "draws").absent_other == 0.2


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
