"""The linear path."""

import torch

from jscc.model.linear_path import LinearDecoder, LinearEncoder, start_from_components
from jscc.quality import psnr


def test_principal_components_make_the_linear_path_nearly_perfect_on_simple_patches() -> None:
    torch.manual_seed(0)
    basis = torch.randn(20, 3 * 64) * 0.02
    patches = (torch.randn(500, 20) @ basis).reshape(-1, 3, 8, 8) + 0.5
    encoder, decoder = LinearEncoder(20), LinearDecoder(20)
    start_from_components(encoder, decoder, patches)
    latent = encoder(patches)
    latent = latent / (2 * latent.square().mean()).sqrt()  # the power normalisation, over all of them
    restored = decoder(latent, torch.full((500,), 20.0))
    assert psnr(restored, patches).mean().item() > 40
