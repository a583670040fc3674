"""The variants: what each changes of the reference, and why one would want to know."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from jscc.ablation import parts
from jscc.data.batches import Mixture
from jscc.model.codec import JointCodec
from jscc.model.config import CodecConfig, preset
from jscc.train.link_sampling import LinkSampling
from jscc.train.overrides import changed
from jscc.train.settings import TrainSettings

HALF: Final = dataclasses.replace(
    preset("small"), encoder_widths=(16, 48, 64), decoder_widths=(64, 40, 8), epipolar_heads=2
)
"""Preset small with all widths halved."""


class EqualLinks(LinkSampling):
    """Both views always have the left one's SNR; a view may still be absent."""

    def draw(self, pairs: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """As `LinkSampling.draw`."""
        snr_db_BV, fading_BV = LinkSampling.draw(self, pairs, rng)
        came_B = torch.isfinite(snr_db_BV).all(1)
        snr_db_BV[came_B, 1] = snr_db_BV[came_B, 0]
        return snr_db_BV, fading_BV


@dataclass(frozen=True, slots=True)
class Variant:
    """The reference with `sets` (as --set of the trainer), other `settings`, and a model that `change` has changed."""

    name: str
    tells: str
    sets: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    change: Callable[[JointCodec], None] | None = None

    def config(self, reference: CodecConfig) -> CodecConfig:
        """The reference's codec with this variant's changes."""
        return changed(reference, self.sets, "codec")

    def train_settings(self, reference: TrainSettings) -> TrainSettings:
        """The reference's settings with this variant's changes."""
        mixture, draws = changed(reference.mixture, self.sets, "mixture"), changed(reference.draws, self.sets, "draws")
        return dataclasses.replace(reference, **{"mixture": mixture, "draws": draws, **self.settings})


VARIANTS: Final = (
    Variant("reference", "SCAM with positions, epipolar attention at 1/4, linear path, Muon, log-mse"),
    Variant(
        "seed-2", "the reference with another seed: differences as small as this one mean nothing", (), {"seed": 2}
    ),
    Variant("alone", "the baseline: each view decoded alone", ("codec.joint=false",)),
    Variant(
        "scam-paper",
        "the paper's SCAM only: no positions, no epipolar attention",
        ("codec.scam_positional=false", "codec.epipolar=false"),
    ),
    Variant("scam-positions", "SCAM with positions, no epipolar attention", ("codec.epipolar=false",)),
    Variant("no-scam", "epipolar attention at 1/4 only", change=parts.without_scam),
    Variant(
        "rows-at-8",
        "epipolar attention at 1/8 instead of at 1/4",
        ("codec.epipolar=false",),
        change=parts.epipolar_at_eighth,
    ),
    Variant("rows-at-8-and-4", "epipolar attention at 1/8 as well as at 1/4", change=parts.epipolar_at_eighth),
    Variant(
        "wide-kernels", "13 cells wide convolutions at 1/4 instead of the epipolar attention", change=parts.wide_kernels
    ),
    Variant("two-encoders", "each view has an encoder of its own", change=parts.two_encoders),
    Variant("no-linear-path", "without the linear codec beside the network", ("codec.linear_path=false",)),
    Variant("no-norm", "without ChannelNorm", change=parts.without_norm),
    Variant("adamw", "AdamW at 8e-4 instead of Muon at 2e-3", (), {"optimiser": "adamw", "lr": 8e-4}),
    Variant("mse", "the mean squared error itself as the loss", (), {"loss": "mse"}),
    Variant(
        "whole-from-start", "2 whole pairs a step from the first step on: other cost a step", (), {"whole_share": 1.0}
    ),
    Variant("no-synthetic", "no synthetic stereo from single pictures", ("mixture.mono_share=0",)),
    Variant("no-grey", "no grey pairs", ("mixture.grey_share=0",)),
    Variant("one-scale", "every window at scale 1.6", ("mixture.scales=[1.6,1.6]",)),
    Variant(
        "equal-snr",
        "both links always have the same SNR; no better and no noiseless neighbours",
        (),
        {"draws": EqualLinks(better_other=0.0, noiseless_other=0.0)},
    ),
    Variant(
        "half-width",
        "all widths halved once more, 1 head",
        ("codec.encoder_widths=[8,24,32]", "codec.decoder_widths=[32,20,4]", "codec.epipolar_heads=1"),
    ),
    Variant(
        "double-width",
        "all widths doubled, 4 heads: preset small",
        ("codec.encoder_widths=[32,96,128]", "codec.decoder_widths=[128,80,16]", "codec.epipolar_heads=4"),
    ),
    Variant(
        "wide-decoder",
        "the decoder's widths doubled, 4 heads; the encoder as in the reference",
        ("codec.decoder_widths=[128,80,16]", "codec.epipolar_heads=4"),
    ),
    Variant(
        "deep-decoder",
        "two residual blocks more in the decoder, one after SCAM and one after the epipolar attention",
        ("codec.decoder_blocks=[2,3,1,3,0]",),
    ),
)


def reference_settings(steps: int, *, half: bool = True) -> TrainSettings:
    """Six pairs of patches a step, two whole pairs in the last quarter; `half`: in bfloat16."""
    return TrainSettings(
        steps=steps, patches=6, pictures=2, half_precision=half, mixture=Mixture(), draws=LinkSampling()
    )
