"""The sign of the disparity, on the pictures that the demo ships and on ones that were made."""

import asyncio
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from center.decode.view_order import ViewOrder, count_tiles
from tests.waiting import eventually
from wire.views import View

FOOTAGE = Path(__file__).parents[3] / "deploy" / "local" / "footage"
NAMES = sorted(path.name for path in (FOOTAGE / "left").glob("*.jpg"))


def picture(view: str, name: str, blur: float = 0.0, size: tuple[int, int] = (128, 256)) -> np.ndarray:
    image = Image.open(FOOTAGE / view / name).convert("RGB")
    rows, columns = size
    height = min(image.height, image.width * rows // columns)
    width = height * columns // rows
    left, top = (image.width - width) // 2, (image.height - height) // 2
    image = image.crop((left, top, left + width, top + height)).resize((columns, rows), Image.Resampling.BOX)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(blur)))


def test_there_is_footage() -> None:
    assert len(NAMES) >= 10


@pytest.mark.parametrize("blur", [0.0, 2.0])
@pytest.mark.parametrize("name", NAMES[::4])
def test_real_pairs_tell_their_order(name: str, blur: float) -> None:
    left, right = picture("left", name, blur), picture("right", name, blur)
    in_order, swapped = count_tiles(left, right)
    assert in_order >= 8
    assert in_order >= 4 * swapped
    in_order, swapped = count_tiles(right, left)
    assert swapped >= 8
    assert swapped >= 4 * in_order


@pytest.mark.parametrize("size", [(256, 512), (144, 288), (192, 480), (512, 1024)])
def test_pairs_of_any_size_tell_their_order(size: tuple[int, int]) -> None:
    for name in NAMES[::8]:
        left, right = (picture(view, name, size=size) for view in ("left", "right"))
        in_order, swapped = count_tiles(left, right)
        assert in_order >= max(8, 4 * swapped)
        assert count_tiles(right, left)[1] >= 8


def test_a_picture_beside_itself_and_a_plain_one_tell_nothing() -> None:
    scene = picture("left", NAMES[0])
    assert count_tiles(scene, scene) == (0, 0)
    plain = np.full((128, 256, 3), 90, np.uint8)
    assert count_tiles(plain, plain) == (0, 0)


def test_unrelated_pictures_tell_nothing_clearly() -> None:
    rng = np.random.default_rng(3)
    noise = [rng.integers(0, 255, (128, 256, 3), np.uint8) for _ in range(2)]
    in_order, swapped = count_tiles(*noise)
    assert not swapped >= max(8, 4 * in_order)


def decoded(center: Any) -> int:
    return int(center.rigs.get("lab").decoded["paired"])


def test_views_are_swapped_when_five_looks_in_a_row_say_so() -> None:
    order = ViewOrder()
    looks = [(0, 40), (0, 40), (40, 0), (1, 40), (0, 38), (3, 3), (0, 40), (0, 9)]
    for at, look in enumerate(looks):
        order.vote(*look, now=float(at))
        assert not order.swapped
    order.vote(0, 8, now=8.0)
    assert order.swapped
    assert order.look_at == 9.0
    order.vote(40, 0, now=9.0)
    assert not order.swapped
    assert order.look_at == 69.0


def test_in_doubt_looks_become_rarer_and_a_clear_one_for_swapped_views_ends_that() -> None:
    order, now, waits = ViewOrder(), 0.0, []
    for _ in range(8):
        order.vote(3, 3, now)
        waits.append(order.look_at - now)
        now = order.look_at
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    order.vote(0, 40, now)
    assert order.look_at == now + 1.0


@pytest.mark.parametrize("swapped", [False, True])
async def test_swapped_cameras_are_seen_in_what_is_decoded(
    center: Any, engine: Any, camera: Any, caplog: pytest.LogCaptureFixture, swapped: bool
) -> None:
    scene = np.random.default_rng(0).random((3, 32, 80)).repeat(4, 1).repeat(4, 2).astype(np.float32)
    near, far = (
        scene[None, None, :, :, 8:264],
        scene[None, None, :, :, :256],
    )  # in the left picture all lies farther right
    pictures = np.concatenate([near, far] if swapped else [far, near], axis=1)
    engine.decode = lambda batch: np.repeat(pictures, len(batch), 0)
    left, right = camera(View.LEFT), camera(View.RIGHT)
    await left.connect()
    await right.connect()
    for sequence in range(1, 9):
        now = time.time()  # one instant, however long a busy machine takes to send both
        for each in (left, right):
            await each.send(sequence, captured_at=now)
        for each in (left, right):
            await each.answer()
        await eventually(lambda expected=sequence: decoded(center) == expected)  # type: ignore[misc]
        if (look := center._pipeline._publisher._look) is not None:
            await asyncio.wait([look])
        center.rigs.get("lab").view_order.look_at = center._pipeline._publisher._looked_at = -1.0
    center.sweep()
    labels = {"rig": "lab", "reason": "swapped"}
    assert center.metrics.registry.get_sample_value("vergence_center_disagreement", labels) == float(swapped)
    assert center.status()["live_rigs"][0]["disagree"] == (["swapped"] if swapped else [])
    assert ("left and right look swapped" in caplog.text) is swapped
