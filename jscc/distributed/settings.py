"""What a training of these codecs depends on beside the pictures and the widths."""

import dataclasses
import math
from dataclasses import dataclass

from jscc.data.batches import Mixture
from jscc.train.settings import PATCH, PICTURE


@dataclass(frozen=True, slots=True)
class DistributedSettings:
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
        for name in ("steps", "patches", "pictures", "warm_up"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} is {getattr(self, name)}; it must be at least 1")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"--seed is {self.seed}; it must be in 0...{2**32 - 1}")
        if not 0 < self.lr < math.inf:
            raise ValueError(f"--lr is {self.lr}; it must be above 0, and finite")
        for name in ("alpha", "beta"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"--{name} is {getattr(self, name)}; it must be at least 0, and finite")
        for name in ("whole_share", "ema"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"--{name.replace('_', '-')} is {getattr(self, name)}; it must be in 0...1")

    def size_at(self, step: int) -> tuple[int, tuple[int, int]]:
        """Pairs and their size (rows, columns) at a step."""
        whole = step >= round(self.steps * (1 - self.whole_share))
        return (self.pictures, PICTURE) if whole else (self.patches, PATCH)

    def lr_at(self, step: int) -> float:
        """Linear warm-up, then a cosine to 1 % at the last step."""
        warm = min(1.0, (step + 1) / self.warm_up)
        progress = min(1.0, step / max(self.steps - 1, 1))
        return self.lr * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))
