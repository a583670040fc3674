"""The transform: GDN as in its equation, and a start that is already a codec."""

import torch
from torch import Tensor

from jscc.distributed.codec import Widths
from jscc.distributed.transform import GDN, Analysis, Synthesis, start_as_block_transform


def test_gdn_is_its_equation_and_the_inverse_multiplies() -> None:
    torch.manual_seed(0)
    plain, inverse = GDN(3), GDN(3, inverse=True)
    inverse.load_state_dict(plain.state_dict())
    x = torch.randn(2, 3, 4, 5)
    beta, gamma = plain.root_beta.square() + 1e-6, plain.root_gamma.square()
    root = (beta[:, None, None] + torch.einsum("ij,njhw->nihw", gamma, x.square())).sqrt()
    torch.testing.assert_close(plain(x), x / root)
    torch.testing.assert_close(inverse(x), x * root)


def test_shapes_of_latent_and_picture(widths: Widths) -> None:
    analysis, synthesis = Analysis(widths.main), Synthesis(8, widths.main, side=5)
    latent = analysis(torch.rand(2, 3, 64, 128))
    assert latent.shape == (2, 8, 4, 8)
    assert synthesis(torch.cat((latent, torch.rand(2, 5, 4, 8)), 1)).shape == (2, 3, 64, 128)


def test_a_training_begins_as_the_best_linear_codec(widths: Widths, pairs: Tensor) -> None:
    """8 of 768 principal components: nothing that is linear and has 8 numbers a block can be nearer."""
    pictures = pairs.flatten(0, 1).float() / 255
    analysis, synthesis = Analysis(widths.main), Synthesis(8, widths.main)
    start_as_block_transform(analysis, synthesis, pictures)
    with torch.inference_mode():
        error = (synthesis(analysis(pictures)) - pictures).square().sum()
    blocks = pictures.unfold(2, 16, 16).unfold(3, 16, 16).permute(0, 2, 3, 1, 4, 5).reshape(-1, 768) - 0.5
    best = torch.linalg.svdvals(blocks.double())[8:].square().sum()
    torch.testing.assert_close(error.double(), best, rtol=1e-3, atol=0)
