"""Weights of one network as a start for another: a baseline from a joint model, a deeper net from a shallow one."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from jscc.model.conditioning import BASELINE_CONDITIONS, link_conditions
from wire import units

ACROSS = ("decoder.scam.", "decoder.epipolar.")
STEM = "decoder.stem.conv.weight"
SQUEEZE = ".attention.squeeze.weight"
BLOCK = re.compile(r"(?:encoder\.blocks\.\d+|decoder\.at\w+)\.\d+\.")
"""How the name of a residual block's tensor begins."""


def without_neighbour(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a joint codec -> those of the baseline with the same widths; a baseline's come back as they are.

    What looks across goes, and with it what those modules do to a view that is alone, so the result has to be trained:
    it starts about 5 dB low. What 14,029 joint steps had taught it was worth no more than 7,000 steps alone at -2 dB
    (after 1,500 more), so joint steps are no substitute for steps alone. What the decoder was told of
    the other link becomes a constant, *the other view is absent*, and joins the biases; the plane that tells left from
    right, +1 or -1, goes for its mean, 0.
    """
    if not any(name.startswith(ACROSS) for name in tensors):
        return dict(tensors)
    nothing = torch.tensor([units.ABSENT])
    absent_S = link_conditions(nothing, nothing)[0, BASELINE_CONDITIONS:]
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith(ACROSS)}
    kept[STEM] = kept[STEM][:, :-1]
    for name in [name for name in kept if name.startswith("decoder.") and name.endswith(SQUEEZE)]:
        bias = name.removesuffix("weight") + "bias"
        other = kept[name][:, -len(absent_S) :]
        kept[name], kept[bias] = kept[name][:, : -len(absent_S)], kept[bias].float() + other.float() @ absent_S
    return kept


def new_blocks(tensors: Mapping[str, Tensor], fresh: Mapping[str, Tensor]) -> list[str]:
    """The residual blocks of `fresh` that `tensors` has not, by how the names of their tensors begin."""
    found = {match.group() for name in fresh if (match := BLOCK.match(name))}
    return sorted(block for block in found if not any(name.startswith(block) for name in tensors))


def with_new_blocks(tensors: Mapping[str, Tensor], fresh: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a codec -> those of one with further residual blocks, which computes the same.

    fresh    the deeper codec at random weights; a new block takes them from there, but its second convolution is zero,
             so that at first the block adds nothing
    returns  `tensors` and the new blocks; every other difference stays for strict loading to refuse
    """
    added = {name: tensor for name, tensor in fresh.items() if name.startswith(tuple(new_blocks(tensors, fresh)))}
    silent = {name: torch.zeros_like(tensor) for name, tensor in added.items() if ".conv2." in name}
    return {**tensors, **added, **silent}


def encoder_and_what_fits(
    tensors: Mapping[str, Tensor], fresh: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], list[str]]:
    """Weights for a decoder of another size behind the same encoder.

    tensors  of a codec whose encoder is kept; fresh: of the new codec
    returns  all of the encoder's `tensors`, of the decoder's those that have name and shape of `fresh` ones, which
             stand elsewhere; and the parts of the decoder that stay fresh
    """
    encoder = {name: tensor for name, tensor in tensors.items() if name.startswith("encoder.")}
    decoder = {name: tensor for name, tensor in fresh.items() if name.startswith("decoder.")}
    kept = {
        name: tensors[name]
        for name, tensor in decoder.items()
        if name in tensors and tensors[name].shape == tensor.shape
    }
    parts = dict.fromkeys(".".join(name.split(".")[:2]) for name in decoder if name not in kept)
    return {**decoder, **kept, **encoder}, list(parts)
