import dataclasses

import torch

from jscc.config import preset
from jscc.models import JointCodec
from jscc.transfer import without_neighbour
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
