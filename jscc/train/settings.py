"""What a run's result depends on, beside the codec config and the pictures, and how it changes from step to step."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jscc.data.batches import Mixture
from jscc.train.link_sampling import LinkSampling
from jscc.train.loss import Distortion
from jscc.train.schedule import Schedule


@dataclass(frozen=True, slots=True)
class TrainSettings(Schedule):
    """The numbers of a run; ValueError names the one that makes no sense."""

    steps: int = 250_000
    seed: int = 1
    lr: float = 2e-3
    optimiser: str = "muon"
    """At 240 equal steps 2 dB ahead of AdamW at 1e-3, which wants --lr 8e-4."""
    weight_decay: float = 0.01
    warm_up: int = 100
    clip: float = 1.0
    ema: float = 0.999
    loss: Distortion = "log-mse"
    alpha: float = 1.0
    patches: int = 12
    """Pairs of 64x128 patches in a step."""
    pictures: int = 4
    """Pairs of whole pictures in a step of the last part."""
    whole_share: float = 0.25
    """The share of steps, at the end, on whole pictures."""
    half_precision: bool = True
    """Autocast to bfloat16; 1.7 times faster on a CPU with avx512_bf16."""
    mixture: Mixture = dataclasses.field(default_factory=Mixture)
    draws: LinkSampling = dataclasses.field(default_factory=LinkSampling)

    def __post_init__(self) -> None:
        self.check("alpha", "weight_decay")
        if self.loss == "ms-ssim" and self.whole_share < 1:
            raise ValueError("--loss ms-ssim needs whole pictures: add --whole-share 1")

    def fewest_pairs(self) -> int:
        """Pairs of the smallest step."""
        return min(self.size_at(step)[0] for step in (0, self.steps - 1))


def completed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as JSON types; what an older version did not know yet has today's default, which changes nothing."""
    default = dataclasses.asdict(TrainSettings())
    parts = {name: {**default[name], **settings.get(name, {})} for name in ("mixture", "draws")}
    return dict(json.loads(json.dumps({**default, **settings, **parts})))
