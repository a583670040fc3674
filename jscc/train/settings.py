"""What a run's result depends on, beside the codec config and the pictures, and how it changes from step to step."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jscc.data.batches import Mixture
from jscc.train.link_sampling import LinkSampling
from jscc.train.loss import Distortion
from jscc.train.schedule import PICTURE, Schedule
from wire.geometry import PictureSize

_ALL_SIZES_BY = 1000
"""Steps among which every size is drawn, as good as certainly."""


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
    sizes: tuple[str, ...] = ()
    """Sizes of these pictures, such as 256x512; each step has one, drawn. Empty: all are of 128x256."""
    half_precision: bool = True
    """Autocast to bfloat16; 1.7 times faster on a CPU with avx512_bf16, ten times slower on one without bfloat16."""
    mixture: Mixture = dataclasses.field(default_factory=Mixture)
    draws: LinkSampling = dataclasses.field(default_factory=LinkSampling)

    def __post_init__(self) -> None:
        self.check("alpha", "weight_decay")
        for size in self.sizes:
            PictureSize.parse(size)
        if self.loss == "ms-ssim" and self.whole_share < 1:
            raise ValueError("--loss ms-ssim needs whole pictures: add --whole-share 1")

    def size_at(self, step: int) -> tuple[int, tuple[int, int]]:
        """Pairs and their size (rows, columns) at a step; a step of larger pictures has fewer, of as many pixels."""
        count, size = Schedule.size_at(self, step)  # super() knows no other class once slots have made a new one
        if not self.sizes or size != PICTURE:
            return count, size
        drawn = np.random.Generator(np.random.Philox(key=[self.seed + 2_000_003, step])).integers(len(self.sizes))
        return self._of(PictureSize.parse(self.sizes[drawn]))

    def _of(self, size: PictureSize) -> tuple[int, tuple[int, int]]:
        count = round(self.pictures * PICTURE[0] * PICTURE[1] / (size.rows * size.columns))
        return max(1, count), (size.rows, size.columns)

    def shares(self) -> dict[int, float]:
        """Steps that stand for all of their kind, as far as there are such, and the share of the kind; together 1."""
        last = self.steps - 1
        found: dict[tuple[int, tuple[int, int]], int] = {}
        for step in range(last, max(last - _ALL_SIZES_BY, -1), -1):
            found.setdefault(self.size_at(step), step)
        kinds = {self._of(PictureSize.parse(size)) for size in self.sizes} or {self.size_at(last)}
        whole = {found[kind]: self.whole_share / len(kinds) for kind in kinds if kind in found}
        shares = {**whole, 0: whole.get(0, 0.0) + 1 - self.whole_share}  # of a single step, the first is the last too
        total = sum(shares.values())
        return {step: share / total for step, share in shares.items()}

    def fewest_pairs(self) -> int:
        """Pairs of the smallest step."""
        counts = [self._of(PictureSize.parse(size))[0] for size in self.sizes]
        return min(*counts, self.size_at(0)[0], self.size_at(self.steps - 1)[0])


def completed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as JSON types; what an older version did not know yet has today's default, which changes nothing."""
    default = dataclasses.asdict(TrainSettings())
    parts = {name: {**default[name], **settings.get(name, {})} for name in ("mixture", "draws")}
    return dict(json.loads(json.dumps({**default, **settings, **parts})))
