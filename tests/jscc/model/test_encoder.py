import pytest
import torch

from jscc.model.codec import Codec, JointCodec
from jscc.model.config import preset
from jscc.model.encoder import Encoder, to_latent, to_symbols
from wire import geometry


def test_every_picture_has_unit_power_whatever_its_batch(tiny: Codec) -> None:
    pictures = torch.rand(4, 3, 128, 256) * torch.tensor([1.0, 0.1, 0.5, 0.01])[:, None, None, None]
    symbols = tiny.encode(pictures, torch.tensor([-3.0, 5.0, 14.0, float("inf")]))
    assert symbols.shape == (4, geometry.SYMBOLS, 2)
    power = symbols.square().sum(-1).mean(-1)
    torch.testing.assert_close(power, torch.ones(4), atol=1e-5, rtol=0)


def test_a_picture_is_encoded_alike_in_any_batch(tiny: Codec) -> None:
    pictures, snr_db = torch.rand(3, 3, 128, 256), torch.tensor([0.0, 7.0, 12.0])
    together = tiny.encode(pictures, snr_db)
    for index in range(3):
        alone = tiny.encode(pictures[index : index + 1], snr_db[index : index + 1])
        torch.testing.assert_close(alone[0], together[index], atol=1e-5, rtol=0)


def test_the_encoder_follows_its_links_snr(tiny: Codec) -> None:
    picture = torch.rand(1, 3, 128, 256)
    assert not torch.equal(tiny.encode(picture, torch.tensor([0.0])), tiny.encode(picture, torch.tensor([10.0])))


def test_symbols_are_pairs_of_latent_channels_row_by_row() -> None:
    latent = torch.randn(2, 20, 16, 32)
    symbols = to_symbols(latent)
    scale = symbols[0, 0, 0] / latent[0, 0, 0, 0]
    pair, row, column = 3, 5, 7
    expected = latent[0, 2 * pair : 2 * pair + 2, row, column] * scale
    torch.testing.assert_close(symbols[0, (pair * 16 + row) * 32 + column], expected)
    torch.testing.assert_close(to_latent(symbols, 20, 16, 32)[0], latent[0] * scale)


def test_patches_of_other_sizes_are_welcome() -> None:
    symbols = Encoder(preset("tiny"))(torch.rand(2, 3, 64, 128), torch.zeros(2))
    assert symbols.shape == (2, geometry.SYMBOLS // 4, 2)


@pytest.mark.parametrize("name", ["paper", "small"])
def test_the_large_presets_have_the_same_interface(name: str) -> None:
    with torch.device("meta"):
        model = JointCodec(preset(name))
        symbols = model.encoder(torch.rand(2, 3, 128, 256), torch.zeros(2))
        pictures = model.decoder(torch.rand(1, 2, 5120, 2), torch.rand(1, 2, 5120), torch.zeros(1, 2))
    assert symbols.shape == (2, geometry.SYMBOLS, 2)
    assert pictures.shape == (1, 2, 3, 128, 256)
