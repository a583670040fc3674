"""Recordings that are cut off, damaged, or made to harm."""

import random
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import lz4.frame
import pytest
import zstandard
from google.protobuf.message import Message
from mcap.data_stream import RecordBuilder
from mcap.reader import make_reader
from mcap.records import Channel, Chunk, Schema
from mcap.writer import MCAP0_MAGIC, CompressionType, Writer
from mcap_protobuf.decoder import DecoderFactory

from center.config import RecordSection
from center.metrics import Metrics
from center.record.reader import MOST_DAMAGE, RECORD_LIMIT, Recording, files
from center.record.recorder import Recorder
from center.record.recovery import finish_torn
from deploy.bench.record import contents, synthetic_batch
from wire.runtime.errors import UserError
from wire.v1 import recording_pb2


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A finished recording of six pairs in several chunks."""
    folder = tmp_path_factory.mktemp("whole")
    recorder = Recorder(
        RecordSection(folder=str(folder), flush_s=0.01, queue=64),
        recording_pb2.RecordingSession(session_id=1),
        Metrics(),
    )
    recorder.start()
    for sequence in range(1, 7):
        recorder.decoded(*synthetic_batch(1, sequence))
        while recorder.recorded < sequence:
            pass
    recorder.close(10.0)
    return files(folder)[0].read_bytes()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vergence-20231114T221320.999999Z-ffffffffffffffff-000009.mcap"


def read(path: Path) -> tuple[list[Message], list[str]]:
    recording = Recording(path)
    return list(recording.messages()), recording.damage


def test_other_readers_find_schemas_topics_and_times(whole: bytes, path: Path) -> None:
    """The library's own reader, by the index, with the schemas from the file alone: what Foxglove does too."""
    path.write_bytes(whole)
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True, decoder_factories=[DecoderFactory()])
        summary = reader.get_summary()
        assert summary is not None
        assert summary.statistics is not None
        kinds = {each.topic: summary.schemas[each.schema_id].name for each in summary.channels.values()}
        assert kinds == {
            "/session": "vergence.v1.RecordingSession",
            "/kill/pairs": "vergence.v1.RecordedPair",
            "/kill/left/picture": "foxglove.CompressedImage",
            "/kill/right/picture": "foxglove.CompressedImage",
        }
        assert {each.encoding for each in summary.schemas.values()} == {"protobuf"}
        assert {each.message_encoding for each in summary.channels.values()} == {"protobuf"}
        pictures = 0
        for schema, channel, message, decoded in reader.iter_decoded_messages():
            assert schema is not None
            if schema.name == "foxglove.CompressedImage":
                pictures += 1
                assert decoded.format == "jpeg"
                assert decoded.data.startswith(b"\xff\xd8\xff")
                assert decoded.frame_id == channel.topic[1:].removesuffix("/picture")
                assert decoded.timestamp.ToNanoseconds() == message.publish_time  # capture
                assert message.publish_time <= message.log_time  # decoded
            if schema.name == "vergence.v1.RecordedPair":
                assert message.log_time == decoded.decoded_at_ns
                assert message.sequence == decoded.frames[0].received.sequence
        assert pictures == 12


def test_cut_off_anywhere_what_is_whole_is_read_and_one_line_tells(whole: bytes, path: Path) -> None:
    moments = random.Random(1)
    path.write_bytes(whole)
    everything, most = contents(path), 0
    for cut in sorted(moments.randrange(len(whole)) for _ in range(60)):
        path.write_bytes(whole[:cut])
        messages, damage = read(path)
        assert len(damage) <= 1
        found = contents(path)
        assert found <= everything
        assert len(found) >= most  # more bytes, never fewer pairs
        most = len(found)
        if len(messages) < 1 + len(everything):
            assert damage
            assert "has no end (a crash, or it is being written)" in damage[0]


def test_finishing_a_cut_off_file_keeps_every_whole_pair_and_makes_it_readable_for_all(
    whole: bytes, path: Path
) -> None:
    moments = random.Random(2)
    for cut in sorted(moments.randrange(len(whole) - 9) for _ in range(40)):
        path.write_bytes(whole[:cut])
        before = contents(path)
        assert finish_torn(path)
        if not path.exists():
            assert not before
            continue
        assert contents(path) == before
        with path.open("rb") as file:
            found = list(make_reader(file, validate_crcs=True).iter_messages(topics=["/kill/pairs"]))
        assert len(found) == len(before)
        assert not finish_torn(path)


def test_flipped_bytes_never_do_more_than_a_line_or_a_user_error(whole: bytes, path: Path) -> None:
    moments = random.Random(3)
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(moments.choice((1, 1, 20))):
            data[moments.randrange(len(data))] ^= 1 << moments.randrange(8)
        path.write_bytes(data)
        try:
            _, damage = read(path)
        except UserError as problem:
            damage = [str(problem)]
        assert all("\n" not in line and len(line) < 400 for line in damage)


@pytest.mark.parametrize("which", [0, 2])
def test_a_damaged_chunk_is_left_out_and_the_rest_is_read(which: int, whole: bytes, path: Path) -> None:
    path.write_bytes(whole)
    chunks = [raw for raw in Recording(path).records() if raw.opcode == 6]
    assert len(chunks) > 3
    data = bytearray(whole)
    data[chunks[which].end - 100] ^= 1
    path.write_bytes(data)
    _, damage = read(path)
    assert damage == [f"{path}: the part that ends at byte {chunks[which].end} is left out: its checksum is wrong"]
    assert len(contents(path)) >= 4


def record(opcode: int, body: bytes, length: int | None = None) -> bytes:
    return struct.pack("<BQ", opcode, len(body) if length is None else length) + body


def chunk(compression: str, data: bytes, size: int) -> bytes:
    builder = RecordBuilder()
    Chunk(compression, data, 0, 0, 0, size).write(builder)
    return bytes(builder.end())


HOSTILE = {
    "a length of 2^63": record(5, b"", 1 << 63),
    "a record just too large": record(6, b"", RECORD_LIMIT + 1),
    "an inner length of 2^62": record(6, struct.pack("<QQQII", 0, 0, 9, 0, 0) + struct.pack("<Q", 1 << 62)),
    "a zstd bomb": chunk("zstd", zstandard.compress(bytes(1 << 28)), 1 << 28),
    "a zstd bomb that lies": chunk("zstd", zstandard.compress(bytes(1 << 28)), 10),
    "an lz4 bomb": chunk("lz4", lz4.frame.compress(bytes(1 << 28)), 1 << 28),
    "zstd that is none": chunk("zstd", b"hello", 10),
    "lz4 that is none": chunk("lz4", b"hello", 10),
    "unknown compression": chunk("brotli", b"hello", 10),
    "a message without a channel": record(5, struct.pack("<HIQQ", 9, 0, 0, 0)),
    "a message that is too short": record(5, b"\x00"),
    "a schema that is no text": record(3, struct.pack("<HI", 1, 2) + b"\xff\xff" + struct.pack("<II", 0, 0)),
    "opcode 0": record(0, b"x"),
    "an unknown opcode": record(200, b"x" * 100),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_files_made_to_harm_cost_a_bounded_amount_and_say_one_line(what: str, path: Path) -> None:
    path.write_bytes(MCAP0_MAGIC + HOSTILE[what])
    tracemalloc.start()
    messages, damage = read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert not messages
    assert damage
    assert all("\n" not in line for line in damage)
    assert peak < 3 * RECORD_LIMIT


def test_a_chunk_of_a_million_messages_is_read_one_by_one(path: Path) -> None:
    """64 MB of the smallest ones, 30 kB in a compressed file, were two million objects: a GB."""
    tiny = record(5, struct.pack("<HIQQ", 9, 0, 0, 0))
    path.write_bytes(MCAP0_MAGIC + chunk("", tiny * 100_000, 100_000 * len(tiny)))
    tracemalloc.start()
    messages, _ = read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert not messages
    assert peak < 6 * 100_000 * len(tiny)


def test_what_is_wrong_is_not_told_without_end(path: Path) -> None:
    builder = RecordBuilder()
    Schema(1, b"", "protobuf", "vergence.v1.RecordedPair").write(builder)
    Channel(1, "/lab/pairs", "protobuf", {}, 1).write(builder)
    wrong = record(5, struct.pack("<HIQQ", 1, 0, 0, 0) + b"\xff")
    path.write_bytes(MCAP0_MAGIC + bytes(builder.end()) + wrong * 1_000)
    messages, damage = read(path)
    assert not messages
    assert len(damage) <= MOST_DAMAGE + 2
    assert damage[MOST_DAMAGE] == f"{path}: more is wrong, which is not told"


def test_too_many_channels_are_refused(path: Path) -> None:
    builder = RecordBuilder()
    for number in range(5000):
        Channel(number, f"/{number}", "protobuf", {}, 0).write(builder)
    path.write_bytes(MCAP0_MAGIC + bytes(builder.end()))
    with pytest.raises(UserError, match="more than 4096 channels; it is no recording of a center"):
        read(path)


def test_a_pair_that_is_no_protobuf_is_one_line(path: Path) -> None:
    with path.open("wb") as file:
        writer = Writer(file, compression=CompressionType.NONE)
        writer.start()
        schema = writer.register_schema("vergence.v1.RecordedPair", "protobuf", b"")
        writer.add_message(writer.register_channel("/lab/pairs", "protobuf", schema), 0, b"\xff\xff\xff", 0)
        writer.finish()
    messages, damage = read(path)
    assert not messages
    assert damage == [f"{path}: a RecordedPair cannot be read; left out"]


@pytest.mark.parametrize("compression", [CompressionType.ZSTD, CompressionType.LZ4])
def test_what_other_tools_have_compressed_is_read(compression: CompressionType, whole: bytes, path: Path) -> None:
    path.write_bytes(whole)
    squeezed = path.with_name("squeezed.mcap")
    with path.open("rb") as source, squeezed.open("wb") as file:
        writer = Writer(file, compression=compression)
        writer.start()
        channels: dict[int, int] = {}
        for schema, channel, message in make_reader(source).iter_messages():
            assert schema is not None
            if channel.id not in channels:
                number = writer.register_schema(schema.name, schema.encoding, schema.data)
                channels[channel.id] = writer.register_channel(channel.topic, channel.message_encoding, number)
            writer.add_message(channels[channel.id], message.log_time, message.data, message.publish_time)
        writer.finish()
    assert contents(squeezed) == contents(path)


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (
            lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n"),
            r"\.mcap is not an MCAP file; give a recording of a center",
        ),
        (lambda path: path.mkdir(), r"has no \.mcap files; give a recording, or the record\.folder of a center"),
        (lambda path: None, r"does not exist; give a recording, or the record\.folder of a center"),
    ],
)
def test_what_is_no_recording_is_one_line(make: Callable[[Path], object], line: str, path: Path) -> None:
    make(path)
    with pytest.raises(UserError, match=line):
        [read(each) for each in files(path)]


def test_checksums_are_there_and_right(whole: bytes, path: Path) -> None:
    path.write_bytes(whole)
    for raw in Recording(path).records():
        if raw.opcode == 6:
            start, end, size, crc = struct.unpack("<QQQI", raw.body[:28])
            assert start <= end
            assert zlib.crc32(raw.body[-size:]) == crc != 0
