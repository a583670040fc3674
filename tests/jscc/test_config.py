import pytest

from jscc.config import PRESETS, CodecConfig, preset


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
        ({"upsampling": "bicubic"}, "allowed: 'pixel_shuffle', 'transposed'"),
        ({"latent_channels": 19}, "must be even"),
        ({"epipolar_heads": 7}, "must divide"),
        ({"decoder_kernel": 4}, "odd"),
    ],
)
def test_a_value_that_cannot_work_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CodecConfig.from_dict(values)


def test_an_unknown_preset_lists_the_known() -> None:
    with pytest.raises(ValueError, match=r"unknown preset 'huge'; allowed: paper, small, tiny"):
        preset("huge")
