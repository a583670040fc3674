"""Networks of a few channels, and pictures made up on the spot."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from jscc.data.batches import Sources
from jscc.distributed.codec import Widths

TINY = Widths(main=(16, 4, 6, 8), private=(2, 2, 3, 4), fusion=4, lambdas=(1e-4, 1e-3, 1e-2))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def widths() -> Widths:
    return TINY


def scene(seed: int, columns: int = 540) -> np.ndarray:
    """Smooth shading, boxes and texture, uint8 [280, columns, 3]."""
    rng = np.random.default_rng(seed)
    rows, across = np.mgrid[0:280, 0:columns].astype(np.float32)
    picture = np.stack([128 + 60 * np.sin(rows / 31 + c) * np.cos(across / (43 + 2 * c) + seed) for c in range(3)], 2)
    for _ in range(30):
        top, left = rng.integers(0, 250), rng.integers(0, columns - 30)
        picture[top : top + 40, left : left + 50] += rng.uniform(-60, 60, (1, 1, 3))
    return np.clip(picture + 8 * rng.standard_normal((280, columns, 1)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def sources() -> Sources:
    """Two pairs whose right view is the left one, moved by 12 pixels."""
    wide = [scene(seed, 560) for seed in (1, 2)]
    return Sources([(picture[:, 12:552], picture[:, :540]) for picture in wide], [], [])


@pytest.fixture(scope="session")
def pairs() -> Tensor:
    """Three pairs uint8 [3, 2, 3, 128, 256], the right view moved by 8 pixels."""
    wide = np.stack([scene(seed)[:128, :264] for seed in (3, 4, 5)]).transpose(0, 3, 1, 2)
    return torch.from_numpy(np.stack([wide[..., 8:], wide[..., :256]], 1).copy())
