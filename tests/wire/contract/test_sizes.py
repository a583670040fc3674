import pytest

from wire.contract.sizes import Size, SizeOrAuto, size_of
from wire.geometry import DEFAULT_SIZE, PictureSize
from wire.runtime.yaml_config import ConfigError, Section, load
from wire.v1 import recording_pb2, symbol_link_service_pb2, types_pb2


class Config(Section):
    size: SizeOrAuto = DEFAULT_SIZE
    limit: Size = DEFAULT_SIZE


def read(**values: str) -> Config:
    return load(Config, None, "X", {f"X__{key.upper()}": value for key, value in values.items()})


def test_a_size_is_written_rows_x_columns() -> None:
    assert read() == Config(size=PictureSize(128, 256), limit=PictureSize(128, 256))
    assert read(size="256x512", limit="512x1024") == Config(size=PictureSize(256, 512), limit=PictureSize(512, 1024))
    assert read(size="auto").size is None
    assert read(size="256x512").model_dump(mode="json") == {"size": "256x512", "limit": "128x256"}
    assert Config(size=None).model_dump(mode="json")["size"] == "auto"


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"size": "large"}, r"size: 'large' is no size; write rows x columns, such as 128x256 \(got 'large'\)"),
        ({"size": "256"}, r"size: a size is rows x columns, such as 128x256 \(got 256\)"),
        (
            {"size": "250x500"},
            r"size: the size 250x500 .* cannot be sent; take multiples of 16, rows 128 to 512, columns",
        ),
        ({"limit": "auto"}, r"limit: 'auto' is no size"),
        ({"limit": "1024x2048"}, r"limit: the size 1024x2048"),
    ],
)
def test_what_is_no_size_is_an_error_that_says_what_to_write(values: dict[str, str], line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        read(**values)


@pytest.mark.parametrize(
    "kind",
    [symbol_link_service_pb2.Hello, types_pb2.Picture, recording_pb2.RecordedPair],
    ids=lambda kind: kind.__name__,
)
def test_a_message_of_an_old_sender_means_128x256(kind: type) -> None:
    assert size_of(kind()) == DEFAULT_SIZE
    assert size_of(kind(height=256, width=512)) == PictureSize(256, 512)
    with pytest.raises(ValueError, match="the size 128x0"):
        size_of(kind(height=128))
