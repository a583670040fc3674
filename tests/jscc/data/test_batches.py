from pathlib import Path

import numpy as np

from jscc.data.batches import Mixture, Sources, augment, batch, cut, prefetch_batches, read_sources
from jscc.data.synthetic_stereo import disparity_field, second_view, warp_right

PAIRS_ONLY = Mixture(mono_share=0)


def coordinates(rows: int = 256, columns: int = 640) -> np.ndarray:
    """A picture whose red is its row and whose green and blue are its column / 4 and % 4."""
    row, column = np.mgrid[:rows, :columns]
    return np.stack((row % 256, column // 4, column % 4), -1).astype(np.uint8)


def test_both_views_are_cut_at_the_same_place() -> None:
    rng = np.random.default_rng(0)
    picture = coordinates()
    for _ in range(20):
        left, right = cut((picture, picture.copy()), (64, 128), (1.2, 2.0), rng)
        assert left.shape == (64, 128, 3)
        assert np.array_equal(left, right)


def test_the_scale_stays_in_its_range_and_in_the_picture() -> None:
    rng = np.random.default_rng(0)
    picture = coordinates()
    spans = []
    for _ in range(50):
        (view,) = cut((picture,), (64, 128), (1.2, 2.0), rng)
        spans.append((int(view[-1, 0, 0]) - int(view[0, 0, 0])) / 63)
    assert 1.15 < min(spans) < 1.4
    assert 1.8 < max(spans) < 2.05
    (small,) = cut((coordinates(128, 256),), (128, 256), (1.2, 2.0), rng)
    assert np.array_equal(small, coordinates(128, 256))
    (enlarged,) = cut((coordinates(100, 220),), (128, 256), (1.2, 2.0), rng)
    assert enlarged.shape == (128, 256, 3)


def test_a_flip_swaps_the_views() -> None:
    pair = np.stack((coordinates(64, 128), 255 - coordinates(64, 128)))
    seen = set()
    for seed in range(40):
        out = augment(pair, np.random.default_rng(seed))
        seen.add("same" if np.array_equal(out, pair) else "flip" if np.array_equal(out, pair[::-1, :, ::-1]) else "lit")
    assert seen == {"same", "flip", "lit"}


def test_a_constant_disparity_moves_the_content_left() -> None:
    left = coordinates(16, 64)
    right = warp_right(left, np.full((16, 64), 5, np.float32))
    assert np.array_equal(right[:, :59], left[:, 5:])


def test_synthetic_disparities_are_in_range_and_vary() -> None:
    rng = np.random.default_rng(0)
    fields = [disparity_field(128, 256, 25.0, rng) for _ in range(20)]
    assert all(field.min() >= 0 and field.max() <= 25 for field in fields)
    assert np.mean([field.std() for field in fields]) > 1
    picture = coordinates(128, 256)
    assert second_view(picture, 25.0, rng).shape == picture.shape


def test_batches_depend_on_seed_and_step_only(picture_folders: tuple[Path, Path]) -> None:
    pairs, mono = picture_folders
    sources = read_sources([pairs], [mono])
    assert (len(sources.colour), len(sources.grey), len(sources.mono)) == (3, 1, 2)
    mixture = Mixture()
    first = batch(sources, mixture, 3, (64, 128), seed=1, step=7)
    assert first.shape == (3, 2, 3, 64, 128)
    assert np.array_equal(first, batch(sources, mixture, 3, (64, 128), seed=1, step=7))
    assert not np.array_equal(first, batch(sources, mixture, 3, (64, 128), seed=1, step=8))
    plan = [(step, 2, (64, 128)) for step in range(3, 12)]
    for (step, *_), got in zip(plan, prefetch_batches(sources, mixture, 1, plan), strict=True):
        assert np.array_equal(got, batch(sources, mixture, 2, (64, 128), seed=1, step=step))


def test_a_batch_may_have_any_size_that_some_pictures_have(picture_folders: tuple[Path, Path]) -> None:
    """The pictures have 200x600 pixels. Disparities grow with the picture: 25 pixels at 128x256, 31 at 144x320."""
    sources = read_sources([picture_folders[0]], [picture_folders[1]])
    small = np.zeros((140, 600, 3), np.uint8)
    mixed = Sources([(small, small), *sources.colour], sources.grey, sources.mono)
    assert mixed.holding((128, 256)) is mixed
    found = batch(mixed, Mixture(), 6, (144, 320), seed=1, step=2)
    assert found.shape == (6, 2, 3, 144, 320)
    assert np.array_equal(found, batch(sources, Mixture(), 6, (144, 320), seed=1, step=2))
    assert Mixture().disparity_at((64, 128)) == Mixture().disparity_at((128, 256)) == 25
    assert Mixture().disparity_at((144, 320)) == 31.25


def test_an_empty_source_gives_its_share_to_the_others() -> None:
    grey = Sources(colour=[], grey=[(coordinates(), coordinates())], mono=[])
    assert batch(grey, Mixture(), 4, (64, 128), seed=0, step=0).shape == (4, 2, 3, 64, 128)
    mono = Sources(colour=[], grey=[], mono=[coordinates()])
    assert batch(mono, PAIRS_ONLY, 4, (64, 128), seed=0, step=0).shape == (4, 2, 3, 64, 128)
