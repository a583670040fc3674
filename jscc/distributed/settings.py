"""What a training of these codecs depends on beside the pictures and the widths."""

import dataclasses
from dataclasses import dataclass

from jscc.data.batches import Mixture
from jscc.train.schedule import Schedule


@dataclass(frozen=True, slots=True)
class DistributedSettings(Schedule):
    """The numbers of a run; ValueError names the one that makes no sense."""

    steps: int = 10_000
    seed: int = 1
    lr: float = 2e-3
    warm_up: int = 100
    clip: float = 1.0
    ema: float = 0.999
    alpha: float = 1.0
    """DWSIC: weight of the other view, its rate and its distortion."""
    beta: float = 1.0
    """DWSIC: weight of the rate of the common information."""
    patches: int = 8
    """Pairs of 64x128 patches in a step."""
    pictures: int = 3
    """Pairs of whole pictures in a step of the last part."""
    whole_share: float = 0.25
    """The share of steps, at the end, on whole pictures."""
    half_precision: bool = True
    """Autocast to bfloat16."""
    mixture: Mixture = dataclasses.field(default_factory=Mixture)

    def __post_init__(self) -> None:
        self.check("alpha", "beta")
