import asyncio
import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from center.output import jpeg
from center.output.jpeg import JpegCache

GREY = np.full((128, 256, 3), 128, np.uint8)
STRIPES = np.zeros((128, 256, 3), np.uint8)
STRIPES[:, ::2] = (255, 0, 0)


def test_colours_are_not_subsampled() -> None:
    """Red columns of one pixel: with a colour for two of them, red and black would both be half red."""
    with Image.open(io.BytesIO(jpeg.encode(STRIPES))) as image:
        shown = np.asarray(image).astype(int)
    assert np.abs(shown - STRIPES).mean() < 8


async def test_a_picture_is_encoded_once_for_all_browsers(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def encode(each: NDArray[np.uint8]) -> bytes:
        made.append(id(each))
        return b"file"

    monkeypatch.setattr(jpeg, "encode", encode)
    cache = JpegCache()
    await asyncio.gather(*(cache.files([GREY, STRIPES]) for _ in range(4)))
    assert made == [id(GREY), id(STRIPES)]


async def test_the_cache_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg, "encode", lambda each: bytes(each[:1]))
    cache = JpegCache()
    for number in range(100):
        picture = np.full(4, number, np.uint8)
        assert await cache.files([picture]) == [bytes([number])]
    assert len(cache._files) <= 16
