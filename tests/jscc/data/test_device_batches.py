"""Pictures that the device makes, against those that the host makes of the same numbers."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from jscc.data import window_draws as draws
from jscc.data.batches import Mixture, Sources, batch, read_sources
from jscc.data.device_batches import make_pairs
from jscc.data.device_stereo import disparity_fields, second_views, warp_right
from jscc.data.picture_store import PictureStore
from jscc.data.synthetic_stereo import warp_right as warp_right_on_host
from jscc.data.window_draws import WindowDraws, draw_windows

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def sources(picture_folders: tuple[Path, Path]) -> Sources:
    pairs, mono = picture_folders
    return read_sources([pairs], [mono])


def make(
    store: PictureStore, mixture: Mixture, size: tuple[int, int], drawn: WindowDraws, noise: float = 0.0
) -> torch.Tensor:
    whole, real = torch.from_numpy(drawn.whole), torch.from_numpy(drawn.real)
    generator = torch.Generator().manual_seed(0)
    return make_pairs(store, mixture, size, whole, real, noise * torch.randn(len(whole), 3, *size, generator=generator))


def test_larger_windows_come_from_pictures_that_are_as_large(sources: Sources) -> None:
    small = np.zeros((140, 600, 3), np.uint8)
    mixed = Sources([(small, small), *sources.colour], sources.grey, [small])
    store, mixture = PictureStore(mixed, CPU), Mixture()
    assert [len(table) for table in store.holding((128, 256))] == [len(mixed.colour), len(mixed.grey), 1]
    assert [len(table) for table in store.holding((144, 320))] == [len(sources.colour), len(sources.grey), 0]
    drawn = draw_windows(store, mixture, 40, (144, 320), seed=1, step=5)
    assert (drawn.whole[:, draws.EXTENT] >= (144, 320)).all()
    assert not drawn.real[:, draws.SYNTHETIC].any()


def test_the_store_keeps_every_pixel(sources: Sources) -> None:
    store = PictureStore(sources, CPU)
    pictures = [p for pair in (*sources.colour, *sources.grey) for p in pair] + sources.mono
    for number, picture in enumerate(pictures):
        rows, columns = (int(side) for side in store.sizes[number])
        first = int(store.first[number])
        assert np.array_equal(store.pixels[first : first + rows * columns].reshape(rows, columns, 3).numpy(), picture)
    assert len(store.pixels) == sum(picture[..., 0].size for picture in pictures)


@pytest.mark.parametrize("size", [(64, 128), (128, 256), (144, 320)])
def test_pairs_are_cut_as_on_the_host(sources: Sources, size: tuple[int, int]) -> None:
    """The same window of the same pictures by OpenCV; it rounds twice, so levels differ by at most one and a half."""
    store, mixture = PictureStore(sources, CPU), Mixture(mono_share=0)
    drawn = draw_windows(store, mixture, 12, size, seed=1, step=5)
    found = make(store, mixture, size, drawn).numpy() * 255
    pictures = [p for pair in (*sources.colour, *sources.grey) for p in pair]
    numbers = {int(first): number for number, first in enumerate(store.first)}
    for pair, whole, real in zip(found, drawn.whole, drawn.real, strict=True):
        top, left, height, width = whole[4:]
        views = []
        for first in whole[draws.FIRST]:
            window = pictures[numbers[int(first)]][top : top + height, left : left + width]
            assert window.shape[:2] == (height, width)
            views.append(cv2.resize(window, size[::-1], interpolation=cv2.INTER_AREA))
        stack = np.stack(views).astype(float)
        if real[draws.FLIP]:
            stack = stack[::-1, :, ::-1]
        stack = np.clip((stack - 128) * real[draws.CONTRAST] + 128 + real[draws.BRIGHTNESS], 0, 255)
        assert np.abs(pair - stack.transpose(0, 3, 1, 2)).max() < 1.0


def test_disparity_fields_are_those_of_opencv(sources: Sources) -> None:
    store, mixture, size = PictureStore(sources, CPU), Mixture(), (64, 128)
    real = draw_windows(store, mixture, 40, size, seed=2, step=0).real
    found = disparity_fields(torch.from_numpy(real), size, 25.0).numpy()
    ramp = np.linspace(0, 1, size[0], dtype=np.float32)
    for field, row in zip(found, real, strict=True):
        near, far, horizon = row[draws.NEAR], row[draws.FAR], row[draws.HORIZON]
        wanted = np.repeat((far + (near - far) * np.clip((ramp - horizon) / (1 - horizon), 0, 1))[:, None], size[1], 1)
        coarse = row[draws.BUMPS].reshape(draws.COARSE)[: int(row[draws.BUMP_ROWS]), : int(row[draws.BUMP_COLUMNS])]
        wanted = wanted + cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC) * (0.2 * 25)
        for top, left, height, width, disparity in row[draws.BOX].reshape(-1, 5):
            wanted[int(top) : int(top + height), int(left) : int(left + width)] = disparity
        assert np.abs(field - np.clip(wanted, 0, 25)).max() < 1e-2
    boxes = real[:, draws.BOX].reshape(40, -1, 5)
    assert {int((box[:, 2] > 0).sum()) for box in boxes} == {0, 1, 2, 3}


def test_the_second_view_is_warped_as_on_the_host(sources: Sources) -> None:
    """OpenCV interpolates in steps of 1/32 pixel and rounds: within 4 levels on a smooth picture, 0.4 in the mean."""
    left = sources.colour[0][0][:128, :256]
    rng = np.random.default_rng(3)
    coarse = rng.uniform(0, 25, (3, 4)).astype(np.float32)
    disparity = np.asarray(cv2.resize(coarse, (256, 128)), np.float32)
    wanted = warp_right_on_host(left, disparity)
    picture = torch.from_numpy(left.transpose(2, 0, 1).copy()).float()[None]
    found = warp_right(picture, torch.from_numpy(disparity)[None])[0].numpy().transpose(1, 2, 0)
    assert np.abs(found - wanted).max() < 4
    assert np.abs(found - wanted).mean() < 0.4
    still = torch.zeros(1, draws.REALS)
    still[:, draws.GAIN], still[:, draws.OFFSET], still[:, draws.BUMP_ROWS : draws.BUMP_COLUMNS + 1] = 1.1, -3.0, 2
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))
    seen = second_views(picture, still, 25.0, noise)
    assert torch.allclose(seen, (picture * 1.1 - 3 + noise).clamp(0, 255), atol=1e-3)


def test_draws_are_a_function_of_seed_and_step_and_fit(sources: Sources) -> None:
    store, mixture = PictureStore(sources, CPU), Mixture()
    one, same, other = (draw_windows(store, mixture, 200, (128, 256), seed=1, step=step) for step in (7, 7, 8))
    assert np.array_equal(one.whole, same.whole)
    assert np.array_equal(one.real, same.real)
    assert not np.array_equal(one.whole, other.whole)
    corner, extent, sizes = one.whole[:, draws.CORNER], one.whole[:, draws.EXTENT], one.whole[:, draws.SIZE]
    assert (corner >= 0).all()
    assert (corner + extent <= sizes).all()
    assert (extent >= (128, 256)).all()
    assert (extent <= draws.reach((128, 256), mixture.scales)).all()
    synthetic = one.real[:, draws.SYNTHETIC] > 0
    assert 0.25 < synthetic.mean() < 0.45  # 0.35, of 200: within three standard deviations
    assert (one.whole[synthetic, 0] == one.whole[synthetic, 1]).all()
    assert (one.whole[~synthetic, 0] != one.whole[~synthetic, 1]).all()
    assert {int(first) for first in one.whole[synthetic, 0]} == {int(store.first[number]) for number in store.mono}


@pytest.mark.parametrize("kinds", ["mono", "grey", "colour"])
def test_a_source_that_is_alone_is_taken(sources: Sources, kinds: str) -> None:
    alone = Sources(
        sources.colour if kinds == "colour" else [],
        sources.grey if kinds == "grey" else [],
        sources.mono if kinds == "mono" else [],
    )
    store = PictureStore(alone, CPU)
    drawn = draw_windows(store, Mixture(), 30, (64, 128), seed=0, step=0)
    assert (drawn.real[:, draws.SYNTHETIC] > 0).all() == (kinds == "mono")
    assert set(drawn.whole[:, 0]) <= set(store.first)
    pairs = make(store, Mixture(), (64, 128), drawn, noise=1.0)
    assert pairs.shape == (30, 2, 3, 64, 128)
    assert float(pairs.min()) >= 0
    assert float(pairs.max()) <= 1


def test_batches_look_like_those_of_the_host(sources: Sources) -> None:
    """Means and contrasts over many pairs agree within what chance moves them."""
    store, mixture, size = PictureStore(sources, CPU), Mixture(), (64, 128)
    drawn = draw_windows(store, mixture, 400, size, seed=3, step=0)
    device = make(store, mixture, size, drawn, noise=1.0).numpy() * 255
    host = batch(sources, mixture, 400, size, seed=3, step=0).astype(np.float32)
    for measure in (np.mean, np.std):
        values = [np.array([measure(pair) for pair in pairs]) for pairs in (device, host)]
        spread = np.hypot(*(found.std() / 20 for found in values))
        assert abs(values[0].mean() - values[1].mean()) < 4 * spread
    shift = [np.abs(pairs[:, 0] - pairs[:, 1]).mean() for pairs in (device, host)]
    assert shift[0] == pytest.approx(shift[1], rel=0.15)
