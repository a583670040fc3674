"""Decoding again: bit for bit where everything is the same, and what is told where it is not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message

from center.decode.engines import Engine, load
from center.record.reader import Recording, files
from center.record.replay import Replay, ReplayedFigures, ReplayedPair, read_reference
from tests.recordings import Record, job
from wire.runtime.errors import UserError
from wire.v1 import recording_pb2, types_pb2
from wire.views import View

BATCHES = ([job(1), job(1, "attic"), job(1, "cellar")], [job(2)], [job(3, views=[View.RIGHT]), job(3, "attic")])


def recorded(folder: Path) -> list[Message]:
    return [message for path in files(folder) for message in Recording(path).messages()]


def test_every_bit_is_the_same_in_whatever_batches_it_was_decoded(record: Record, codec_engine: Engine) -> None:
    replay = Replay(lambda session: codec_engine)
    events = list(replay.events(recorded(record(BATCHES))))
    assert (replay.tally.pairs, replay.tally.equal, replay.tally.different) == (6, 11, 0)
    assert replay.tally.unreadable == 0
    assert len(replay.tally.psnr) == 5
    for before, now in replay.tally.psnr:
        assert now == pytest.approx(before, abs=1e-5)  # recorded as float32
    singles = [event for event in events if isinstance(event, ReplayedPair) and len(event.views) == 1]
    assert [str(single.views[0].frame.view) for single in singles] == ["right"]


def test_one_bit_of_one_symbol_makes_another_picture(record: Record, codec_engine: Engine) -> None:
    messages = recorded(record([[job(1)]]))
    pair = next(message for message in messages if isinstance(message, recording_pb2.RecordedPair))
    data = bytearray(pair.frames[0].received.symbols.data)
    data[2] ^= 0x40  # of the highest bits of a mantissa
    pair.frames[0].received.symbols.data = bytes(data)
    replay = Replay(lambda session: codec_engine)
    list(replay.events(messages))
    assert replay.tally.different > 0


def test_what_is_missing_of_a_batch_keeps_its_place(record: Record, codec_engine: Engine) -> None:
    messages = [
        message
        for message in recorded(record(BATCHES))
        if not (isinstance(message, recording_pb2.RecordedPair) and message.rig == "attic")
    ]
    replay = Replay(lambda session: codec_engine)
    pairs = [event for event in replay.events(messages) if isinstance(event, ReplayedPair)]
    assert [pair.recorded.batch_size for pair in pairs] == [3, 3, 1, 2]
    assert replay.tally.different == 0


def test_another_codec_is_compared_by_psnr(record: Record) -> None:
    other = load("small-ms-ssim", "onnxruntime", "cpu", 2)
    replay = Replay(lambda session: other)
    measured = [event for event in replay.events(recorded(record([[job(1)]]))) if isinstance(event, ReplayedFigures)]
    assert replay.tally.equal == 0
    assert measured[0].key.view is View.LEFT
    assert measured[0].figures.psnr_db != pytest.approx(measured[0].recorded_psnr_db, abs=1e-3)


def test_the_engine_is_loaded_anew_for_another_session_only(record: Record, codec_engine: Engine) -> None:
    first, second = record([[job(1)]], "first"), record([[job(2)]], "second")
    loaded: list[int] = []

    def load(session: recording_pb2.RecordingSession) -> Engine:
        loaded.append(session.session_id)
        return codec_engine

    one, other = recorded(first), recorded(second)
    replay = Replay(load)
    list(replay.events([*one, one[0], *other]))
    assert len(loaded) == 2
    assert replay.tally.equal == 4


def damaged(messages: list[Message], **fields: Any) -> Iterator[Message]:
    for message in messages:
        if isinstance(message, recording_pb2.RecordedPair):
            for name, value in fields.items():
                setattr(message, name, value)
        yield message


@pytest.mark.parametrize(
    "fields", [{"batch_size": 0}, {"batch_size": 33}, {"batch_size": 4_000_000_000}, {"batch_position": 7}]
)
def test_a_batch_that_no_center_decoded_is_left_out(
    fields: dict[str, int], record: Record, codec_engine: Engine
) -> None:
    replay = Replay(lambda session: codec_engine)
    assert not [
        e for e in replay.events(damaged(recorded(record([[job(1)]])), **fields)) if isinstance(e, ReplayedPair)
    ]
    assert replay.tally.unreadable == 1
    assert replay.tally.faults[0].startswith("batch 1 has size")


def test_a_frame_that_the_center_would_have_refused_is_one_line(record: Record, codec_engine: Engine) -> None:
    messages = recorded(record([[job(1)]]))
    pair = next(message for message in messages if isinstance(message, recording_pb2.RecordedPair))
    pair.frames[1].received.symbols.count = 17
    replay = Replay(lambda session: codec_engine)
    assert not [event for event in replay.events(messages) if isinstance(event, ReplayedPair)]
    assert replay.tally.faults == ["frame 1 of lab/right: 17 symbols came; a picture has 5120"]


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n" + bytes(64)])
def test_a_reference_that_is_no_picture_is_one_line(data: bytes) -> None:
    with pytest.raises(UserError, match="not a readable PNG"):
        read_reference(types_pb2.Picture(data=data))
