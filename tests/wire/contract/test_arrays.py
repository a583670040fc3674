import numpy as np
import pytest

from wire.contract.arrays import pack_complex, pack_picture, unpack_complex, unpack_picture
from wire.geometry import DEFAULT_SIZE, HEIGHT, LARGEST_SIZE, SYMBOLS, WIDTH, PictureSize
from wire.runtime.errors import FrameError
from wire.v1 import types_pb2

RNG = np.random.default_rng(0)
SYMBOL_ROW = (RNG.standard_normal(SYMBOLS) + 1j * RNG.standard_normal(SYMBOLS)).astype(np.complex64)


@pytest.mark.parametrize(("sample_type", "size", "tolerance"), [("f32", 4, 0.0), ("f16", 2, 2e-3), ("i8", 1, 3e-2)])
def test_symbols_come_back_within_the_precision_of_their_sample_type(
    sample_type: str, size: int, tolerance: float
) -> None:
    message = pack_complex(SYMBOL_ROW, sample_type)
    assert len(message.data) == SYMBOLS * 2 * size
    assert np.max(np.abs(unpack_complex(message) - SYMBOL_ROW)) <= tolerance


def test_symbols_are_interleaved_little_endian() -> None:
    message = pack_complex(np.array([1 + 2j, 3 + 4j], np.complex64))
    assert message.data == np.array([1, 2, 3, 4], "<f4").tobytes()


def test_a_wrong_length_says_what_was_expected() -> None:
    message = pack_complex(SYMBOL_ROW)
    message.data = message.data[:-1]
    with pytest.raises(FrameError, match="are 40960 bytes, but 40959 came") as caught:
        unpack_complex(message)
    assert caught.value.reason == "shape"


def test_an_unknown_sample_type_names_the_known_ones() -> None:
    with pytest.raises(FrameError, match="send one of f32, f16, i8") as caught:
        unpack_complex(types_pb2.ComplexArray(count=1, data=b"12345678"))
    assert caught.value.reason == "type"


def test_all_zero_symbols_survive_i8() -> None:
    assert not unpack_complex(pack_complex(np.zeros(4, np.complex64), "i8")).any()


def test_a_picture_comes_back_as_it_was() -> None:
    for size in (DEFAULT_SIZE, PictureSize(256, 512), LARGEST_SIZE):
        picture = RNG.integers(0, 256, (size.rows, size.columns, 3), np.uint8)
        assert np.array_equal(unpack_picture(pack_picture(picture)), picture)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"height": 64}, "64x256 .* cannot be sent; take multiples of 16, rows 128 to 512, columns 256 to 1024"),
        ({"width": 250}, "128x250 .* cannot be sent"),
        ({"height": 0}, "height and width are not set"),
        ({"height": 256, "width": 512}, "393216 are needed"),
        ({"data": b"short"}, "98304 are needed"),
        ({"format": types_pb2.PICTURE_FORMAT_PNG}, "send RGB8"),
    ],
)
def test_a_wrong_picture_is_refused_with_the_mend(change: dict[str, object], line: str) -> None:
    message = pack_picture(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    for key, value in change.items():
        setattr(message, key, value)
    with pytest.raises(FrameError, match=line):
        unpack_picture(message)
