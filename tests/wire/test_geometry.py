import pytest

from wire.geometry import BANDWIDTH_RATIO, DEFAULT_SIZE, LARGEST_SIZE, PictureSize, crop_size


@pytest.mark.parametrize(("text", "symbols"), [("128x256", 5120), ("256x512", 20480), ("192x640", 19200)])
def test_symbols_of_a_size(text: str, symbols: int) -> None:
    size = PictureSize.parse(text)
    assert size.symbols == symbols
    assert str(size) == text
    assert symbols / (3 * size.rows * size.columns) == BANDWIDTH_RATIO


@pytest.mark.parametrize(
    "text", ["", "128", "128X256", "128x256 ", "128x-256", "0x0", "112x256", "136x256", "528x1024"]
)
def test_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="rows x columns"):
        PictureSize.parse(text)


@pytest.mark.parametrize("text", ["256x128", "1024x512", "130x256"])
def test_what_cannot_be_sent_is_told_by_side(text: str) -> None:
    """A range from size to size does not say which side of 256x128 is wrong."""
    line = rf"the size {text} .* take multiples of 16, rows 128 to 512, columns 256 to 1024$"
    with pytest.raises(ValueError, match=line):
        PictureSize.parse(text)


def test_every_size_between_the_ends_is_taken() -> None:
    for rows in range(DEFAULT_SIZE.rows, LARGEST_SIZE.rows + 1, 16):
        for columns in range(DEFAULT_SIZE.columns, LARGEST_SIZE.columns + 1, 16):
            assert PictureSize(rows, columns).symbols == rows * columns * 10 // 64


@pytest.mark.parametrize(
    ("text", "weight", "in_four", "in_32"),
    [
        ("128x256", 1, 4, 32),
        ("128x272", 1, 3, 30),
        ("160x304", 1, 2, 21),
        ("192x256", 2, 2, 21),
        ("128x512", 2, 2, 16),
        ("256x512", 4, 1, 8),
        ("512x1024", 16, 1, 2),
    ],
)
def test_a_size_counts_by_its_pixels_and_a_bound_is_never_exceeded(
    text: str, weight: int, in_four: int, in_32: int
) -> None:
    size = PictureSize.parse(text)
    assert size.weight == weight
    assert (size.most_in(4), size.most_in(32)) == (in_four, in_32)
    assert size.most_in(32) * size.pixels <= 32 * DEFAULT_SIZE.pixels


@pytest.mark.parametrize(
    ("picture", "size", "crop"),
    [
        ((375, 1242), "128x256", (370, 740)),
        ((375, 1242), "256x512", (370, 740)),
        ((375, 1242), "192x640", (372, 1240)),
        ((500, 501), "128x256", (250, 500)),
        ((1080, 1920), "256x256", (1080, 1080)),
    ],
)
def test_crop_has_the_shape_of_the_size(picture: tuple[int, int], size: str, crop: tuple[int, int]) -> None:
    assert crop_size(*picture, PictureSize.parse(size)) == crop
