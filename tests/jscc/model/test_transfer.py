import dataclasses
import math

import pytest
import torch

from jscc.channel import Fading
from jscc.model.checkpoint import WeightsError, fill
from jscc.model.codec import JointCodec
from jscc.model.config import preset
from jscc.model.transfer import with_new_blocks, without_neighbour
from wire import units


def test_the_layers_that_stay_know_the_other_view_as_absent() -> None:
    torch.manual_seed(1)
    config = preset("tiny")
    joint = JointCodec(config).eval()
    baseline = JointCodec(dataclasses.replace(config, joint=False)).eval()
    with torch.no_grad():
        for parameter in joint.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)  # beyond the zeros that training begins with
    baseline.load_state_dict(without_neighbour(joint.state_dict()))

    # What looks across, and the side, are taken from the joint model too: the layers that stay must compute the same.
    joint.decoder.scam = joint.decoder.epipolar = None
    joint.decoder.stem.conv.weight.data[:, -1] = 0  # the mean of left and right
    symbols = torch.randn(1, 2, joint.config.latent_channels // 2 * 16 * 32, 2)
    trust = torch.rand(symbols.shape[:3])
    with torch.no_grad():
        alone = joint.decoder(symbols, trust, torch.tensor([[3.0, units.ABSENT]]))
        decoded = baseline.decoder(symbols, trust, torch.tensor([[3.0, 9.0]]))
        near = joint.decoder(symbols, trust, torch.tensor([[3.0, 3.0]]))
    assert torch.allclose(decoded[:, 0], alone[:, 0], atol=1e-5)
    assert not torch.allclose(near[:, 0], alone[:, 0], atol=1e-3)  # so the constant that was folded in matters


def test_a_baselines_weights_stay_as_they_are() -> None:
    tensors = JointCodec(dataclasses.replace(preset("tiny"), joint=False)).state_dict()
    same = without_neighbour(tensors)
    assert list(same) == list(tensors)
    assert all(same[name] is tensor for name, tensor in tensors.items())


def test_a_deeper_codec_begins_as_the_shallower_one_and_learns() -> None:
    torch.manual_seed(2)
    shallow = JointCodec(preset("tiny"))
    config = dataclasses.replace(shallow.config, encoder_blocks=(0, 1, 2), decoder_blocks=(1, 2, 1, 1, 1))
    deep = JointCodec(config)
    fill(deep, with_new_blocks(shallow.state_dict(), deep.state_dict()))
    pictures, snr_db = torch.rand(1, 2, 3, 64, 128), torch.tensor([[1.0, 7.0]])

    def sent(codec: JointCodec) -> torch.Tensor:
        decoded: torch.Tensor = codec(pictures, snr_db, Fading.NONE, torch.Generator().manual_seed(3))
        return decoded

    assert torch.equal(sent(deep), sent(shallow))
    sent(deep).square().mean().backward()  # type: ignore[no-untyped-call]
    new = (
        "encoder.blocks.1.0.",
        "encoder.blocks.2.1.",
        "decoder.at8_after.1.",
        "decoder.at4_before.0.",
        "decoder.at2.0.",
    )
    for block in new:
        gradient = deep.get_parameter(f"{block}conv2.weight").grad
        assert gradient is not None
        assert math.isfinite(float(gradient.norm()))
        assert float(gradient.norm()) > 0


def test_other_differences_are_still_refused() -> None:
    shallow = JointCodec(preset("tiny"))
    fewer = JointCodec(dataclasses.replace(preset("tiny"), decoder_blocks=(0, 1, 0, 1, 0)))
    with pytest.raises(WeightsError, match=r"unexpected decoder\.at8_before\.0"):
        fill(fewer, with_new_blocks(shallow.state_dict(), fewer.state_dict()))
    wider = JointCodec(dataclasses.replace(preset("tiny"), decoder_widths=(16, 24, 8)))
    with pytest.raises(WeightsError, match="has shape"):
        fill(wider, with_new_blocks(shallow.state_dict(), wider.state_dict()))
