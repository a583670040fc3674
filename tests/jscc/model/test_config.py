import pytest

from jscc.model.config import PRESETS, CodecConfig, preset


@pytest.mark.parametrize("name", sorted(PRESETS))
@pytest.mark.parametrize("joint", [True, False])
def test_a_config_survives_its_dictionary(name: str, joint: bool) -> None:
    config = preset(name, joint=joint)
    assert config.joint is joint
    assert CodecConfig.from_dict(config.to_dict()) == config


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(ValueError, match=r"unknown codec config key encoder_width; allowed: .*encoder_widths"):
        CodecConfig.from_dict({"encoder_width": [1, 2, 3]})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"encoder_widths": [8, 8]}, "expected 3 numbers"),
        ({"joint": "yes"}, "expected bool"),
        ({"interleaver": "random"}, "interleaver is 'random'; allowed: 'none', 'golden'"),
        ({"upsampling": "bicubic"}, "allowed: 'pixel_shuffle', 'transposed'"),
        ({"latent_channels": 64}, "it must be 20, which makes the 5120 symbols"),
        ({"encoder_widths": [0, 1, 2]}, r"encoder_widths is \[0, 1, 2\]; each must be at least 1"),
        ({"decoder_blocks": [2, 2, -1, 2, 0]}, "each must be at least 0"),
        ({"epipolar_heads": 0}, "at least 1"),
        ({"encoder_kernels": [5, -1, 3]}, "at least 1"),
        ({"decoder_widths": [18, 16, 8]}, "scam_positional needs a multiple of 4"),
        ({"epipolar_heads": 7}, "must divide"),
        ({"decoder_kernel": 4}, "odd"),
    ],
)
def test_a_value_that_cannot_work_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CodecConfig.from_dict(values)


def test_an_unknown_preset_lists_the_known() -> None:
    with pytest.raises(ValueError, match=r"unknown preset 'huge'; allowed: paper, small, medium, tiny"):
        preset("huge")
