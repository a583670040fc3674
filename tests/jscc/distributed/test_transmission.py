"""Bytes and back: the decoder shows what the encoder knows it will show, to the last bit."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from jscc.distributed.codec import Dsin, System, Widths, build
from jscc.distributed.range_coding import RangeCoder
from jscc.distributed.settings import DistributedSettings
from jscc.distributed.state import DistributedState
from jscc.distributed.transmission import SideInformationCodec
from jscc.distributed.validation import both_ways, reconstruct


def model_of(system: System, widths: Widths, pairs: Tensor) -> nn.Module:
    """As a training begins, and with some of everything in weights that begin at 0."""
    state = DistributedState(system, widths, DistributedSettings(seed=3))
    state.start_from_pictures(pairs.float() / 255)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in state.model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.003)
    return state.model.eval()


@pytest.mark.parametrize(("system", "mirrored"), [("codec", False), ("dwsic", True), ("dsin", True)])
def test_the_decoder_shows_exactly_what_the_encoder_predicts(
    system: System, mirrored: bool, widths: Widths, pairs: Tensor
) -> None:
    model = model_of(system, widths, pairs)
    codec = SideInformationCodec(model)
    own, other = pairs[0].numpy() if not mirrored else pairs[0].flip(0).numpy()
    latent = codec.analyse(own, mirrored=mirrored)
    for number in (5, codec.coder.numbers - 1):
        file = codec.encode(latent, number)
        level = torch.tensor([codec.coder.level(number)])
        with torch.inference_mode():
            side = torch.from_numpy(other[None].copy()).float() / 255
            restored = codec.codec.bottleneck.restore(codec.codec.bottleneck.quantise(latent, level), level)
            predicted = reconstruct(model, restored, side.flip(-1) if mirrored else side, level).clamp(0, 1)[0]
        predicted = predicted.flip(-1) if mirrored else predicted
        assert np.array_equal(codec.decode(file, other, mirrored=mirrored), predicted.numpy())


def test_the_file_is_as_long_as_the_density_says(widths: Widths, pairs: Tensor) -> None:
    codec = SideInformationCodec(model_of("codec", widths, pairs))
    latent = codec.analyse(pairs[0, 0].numpy(), mirrored=False)
    for number in (0, 8, 16):
        with torch.inference_mode():
            _, bits = codec.codec.bottleneck(latent, torch.tensor([codec.coder.level(number)]))
        assert len(codec.encode(latent, number)) == pytest.approx(float(bits) / 8, rel=0.02, abs=6)


def test_sizes_rise_with_the_rate_number(widths: Widths, pairs: Tensor) -> None:
    codec = SideInformationCodec(model_of("codec", widths, pairs))
    latent = codec.analyse(pairs[0, 0].numpy(), mirrored=False)
    sizes = [len(codec.encode(latent, number)) for number in range(codec.coder.numbers)]
    assert sizes == sorted(sizes)


def test_symbols_beyond_a_table_arrive_as_its_last(widths: Widths) -> None:
    coder = RangeCoder(build("codec", widths).bottleneck)  # type: ignore[arg-type]
    wild = np.full((8, 10), 10**6, np.int32)
    wild[:, ::2] *= -1
    clipped = coder.clip(wild, 8)
    found, number = coder.decode(coder.encode(clipped, 8), 10)
    assert number == 8
    assert np.array_equal(found, clipped)
    assert np.abs(clipped).max() <= 127


@pytest.mark.parametrize("file", [b"", bytes([200, 1, 2, 3, 4])])
def test_what_is_no_file_is_told(file: bytes, widths: Widths) -> None:
    coder = RangeCoder(build("codec", widths).bottleneck)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not a file of this codec"):
        coder.decode(file, 128)


def test_side_information_matters_to_both_systems(widths: Widths, pairs: Tensor) -> None:
    for system in ("dwsic", "dsin"):
        codec = SideInformationCodec(model_of(system, widths, pairs))  # type: ignore[arg-type]
        file = codec.encode(codec.analyse(pairs[0, 0].numpy(), mirrored=False), 8)
        here, elsewhere = (codec.decode(file, pairs[n, 1].numpy(), mirrored=False) for n in (0, 1))
        assert np.abs(here - elsewhere).max() > 1e-3


def test_the_fusion_begins_as_the_decoded_picture(widths: Widths, pairs: Tensor) -> None:
    model = Dsin(widths)
    own, other = both_ways(pairs.float() / 255)
    assert torch.equal(model.fuse(own, other, torch.zeros(len(own))), own)
