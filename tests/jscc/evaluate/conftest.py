"""Small made-up pairs: smooth shading, edges and texture, the right view shifted by 6 pixels."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from jscc.evaluate.systems.base import Pair
from wire.geometry import DEFAULT_SIZE, PictureSize

EVALUATE = "pip install '.[evaluate]'"


def made_up_pair(name: str = "scene", seed: int = 0, size: PictureSize = DEFAULT_SIZE) -> Pair:
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0 : size.rows, 0 : size.columns + 14].astype(np.float32)
    scene = np.stack([128 + 70 * np.sin(rows / (17 + c)) * np.cos(columns / (23 + 2 * c) + seed) for c in range(3)])
    for _ in range(12):
        top, left = rng.integers(0, 100), rng.integers(0, 240)
        scene[:, top : top + 28, left : left + 30] += rng.uniform(-60, 60, (3, 1, 1))
    scene += 8 * rng.standard_normal((1, size.rows, size.columns + 14))
    scene = np.clip(np.rint(scene), 0, 255).astype(np.uint8)
    return Pair(name, np.stack([scene[:, :, 6 : size.columns + 6], scene[:, :, : size.columns]]))


def write_pairs(folder: Path, pairs: list[Pair]) -> Path:
    for place, side in enumerate(("left", "right")):
        (folder / side).mkdir(parents=True, exist_ok=True)
        for pair in pairs:
            pixels = np.ascontiguousarray(pair.views[place].transpose(1, 2, 0))
            Image.fromarray(pixels).save(folder / side / f"{pair.name}.png")
    return folder


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads on small tensors cost far more than they bring on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def pair() -> Pair:
    return made_up_pair()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two pairs, `a` and `b`."""
    return write_pairs(tmp_path_factory.mktemp("pairs"), [made_up_pair("a", 1), made_up_pair("b", 2)])


@pytest.fixture
def needs_hevc() -> None:
    if importlib.util.find_spec("av") is None:
        pytest.skip(f"PyAV is not installed, so BPG's stand-in is not tested; {EVALUATE}")


@pytest.fixture
def needs_ldpc() -> None:
    if importlib.util.find_spec("sionna") is None:
        pytest.skip(f"sionna-no-rt is not installed, so LDPC is not tested; {EVALUATE}")
