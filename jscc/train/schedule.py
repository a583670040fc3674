"""How a training goes from step to step: sizes and learning rate, and the bounds of the numbers that say so."""

import math

from wire import geometry

PICTURE = (geometry.HEIGHT, geometry.WIDTH)
PATCH = (geometry.HEIGHT // 2, geometry.WIDTH // 2)


class Schedule:
    """What every kind of training shares. A dataclass of settings brings the numbers, this class what follows from
    them.

    steps, warm_up     of the whole run; of the learning rate's beginning
    patches, pictures  pairs in a step, of 64x128 patches; of whole pictures, in the last part
    whole_share        the share of steps, at the end, on whole pictures
    """

    __slots__ = ()
    steps: int
    seed: int
    lr: float
    warm_up: int
    ema: float
    patches: int
    pictures: int
    whole_share: float

    def check(self, *not_negative: str) -> None:
        """raises ValueError that names the first number that makes no sense. not_negative: further ones, by name"""
        for name in ("steps", "patches", "pictures", "warm_up"):
            if getattr(self, name) < 1:
                raise ValueError(f"{_option(name)} is {getattr(self, name)}; it must be at least 1")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"--seed is {self.seed}; it must be in 0...{2**32 - 1}")
        if not 0 < self.lr < math.inf:
            raise ValueError(f"--lr is {self.lr}; it must be above 0, and finite")
        for name in not_negative:
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{_option(name)} is {getattr(self, name)}; it must be at least 0, and finite")
        for name in ("whole_share", "ema"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{_option(name)} is {getattr(self, name)}; it must be in 0...1")

    def size_at(self, step: int) -> tuple[int, tuple[int, int]]:
        """Pairs and their size (rows, columns) at a step."""
        whole = step >= round(self.steps * (1 - self.whole_share))
        return (self.pictures, PICTURE) if whole else (self.patches, PATCH)

    def lr_at(self, step: int) -> float:
        """Linear warm-up, then a cosine to 1 % at the last step."""
        warm = min(1.0, (step + 1) / self.warm_up)
        progress = min(1.0, step / max(self.steps - 1, 1))
        return self.lr * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


def averaging_weight(step: int, decay: float) -> float:
    """How far the averaged weights move towards the weights after a step; early in training they follow faster."""
    return 1 - min(decay, (1 + step) / (10 + step))


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
