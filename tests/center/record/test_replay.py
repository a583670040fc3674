"""Decoding again: bit for bit where everything is the same, and what is told where it is not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import Message

from center.decode.engines import Engine, load
from center.decode.jobs import Job, decode
from center.output.pictures import pack
from center.record import messages
from center.record.messages import DecodedBatch
from center.record.reader import Recording, files
from center.record.replay import Replay, ReplayedFigures, ReplayedPair, read_reference
from tests.center.conftest import FakeEngine
from tests.recordings import Record, job
from wire.geometry import DEFAULT_SIZE, LARGEST_SIZE, PictureSize
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


def test_a_file_that_calls_all_of_its_pairs_one_batch_is_not_kept_as_a_whole() -> None:
    engine, taken = FakeEngine(), 0
    session, pair = recorded_without_disk(engine, [job(1)], references=False)

    def endless() -> Iterator[Message]:
        nonlocal taken
        yield session
        while True:
            taken += 1
            yield pair

    next(Replay(lambda _: engine).events(endless()))
    assert taken <= 33


def test_a_batch_of_more_work_than_a_center_takes_at_once_is_left_out() -> None:
    """32 pairs of 512x1024 would take 20 GB; the absent ones of a batch take as much as the others."""
    engine = FakeEngine()
    made = recorded_without_disk(engine, [job(1, size=LARGEST_SIZE)], references=False)
    for size, pairs in ((1, 1), (2, 1), (3, 0), (32, 0)):
        replay = Replay(lambda session: engine)
        events = list(replay.events(damaged(made, batch_size=size)))
        assert len(events) == pairs
        assert replay.tally.faults == [
            f"batch 1 has {size} pairs of 512x1024; a center decodes 2 at once" for _ in range(1 - pairs)
        ]


def test_a_frame_that_the_center_would_have_refused_is_one_line(record: Record, codec_engine: Engine) -> None:
    messages = recorded(record([[job(1)]]))
    pair = next(message for message in messages if isinstance(message, recording_pb2.RecordedPair))
    pair.frames[1].received.symbols.count = 17
    replay = Replay(lambda session: codec_engine)
    assert not [event for event in replay.events(messages) if isinstance(event, ReplayedPair)]
    assert replay.tally.faults == ["frame 1 of lab/right: 17 symbols came; a picture of 128x256 has 5120"]


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n" + bytes(64)])
def test_a_reference_that_is_no_picture_is_one_line(data: bytes) -> None:
    with pytest.raises(UserError, match="not a readable PNG"):
        read_reference(types_pb2.Picture(data=data))


WIDE = PictureSize(256, 512)


def recorded_without_disk(engine: Engine, *batches: list[Job], references: bool = True) -> list[Message]:
    """What a recorder would have written of jobs of any size."""
    session, clock = messages.session("light", engine, 1), 1.7e9
    made: list[Message] = [session]
    for number, jobs in enumerate(batches, 1):
        decoded = decode(engine, jobs)
        made += [each.message for each in DecodedBatch(number, jobs, decoded, clock, clock).records(False)]
        for view in (view for views in decoded for view in views if view.frame.referenced and references):
            key, (rows, columns, _) = view.frame.key, view.picture.shape
            picture = pack(np.full((rows, columns, 3), 9, np.uint8), types_pb2.PICTURE_FORMAT_PNG)
            made.append(
                recording_pb2.RecordedFigures(
                    rig=key.rig,
                    view=types_pb2.VIEW_LEFT,
                    boot_id=key.boot_id,
                    sequence=key.sequence,
                    psnr_db=9.0,
                    reference=picture,
                )
            )
    return made


def test_recordings_say_the_size_and_are_decoded_with_it() -> None:
    engine = FakeEngine()
    batches = [job(1, size=WIDE), job(1, "attic", size=WIDE)], [job(2)], [job(3, size=WIDE, views=[View.RIGHT])]
    written = recorded_without_disk(engine, *batches)
    pairs = [message for message in written if isinstance(message, recording_pb2.RecordedPair)]
    assert [(pair.height, pair.width) for pair in pairs] == [(256, 512), (256, 512), (128, 256), (256, 512)]
    replay = Replay(lambda session: engine)
    events = list(replay.events(written))
    shapes = [event.views[0].picture.shape for event in events if isinstance(event, ReplayedPair)]
    assert shapes == [(256, 512, 3), (256, 512, 3), (128, 256, 3), (256, 512, 3)]
    assert (replay.tally.equal, replay.tally.different, replay.tally.faults) == (7, 0, [])
    references = [event.reference.shape for event in events if isinstance(event, ReplayedFigures)]
    assert references == [(256, 512, 3), (256, 512, 3), (128, 256, 3)]


def test_a_recording_of_before_there_were_sizes_is_of_128x256() -> None:
    engine = FakeEngine()
    written = recorded_without_disk(engine, [job(1)])
    for message in written:
        if isinstance(message, recording_pb2.RecordedPair):
            message.ClearField("height")
            message.ClearField("width")
    replay = Replay(lambda session: engine)
    list(replay.events(written))
    assert (replay.tally.equal, replay.tally.different, replay.tally.faults) == (2, 0, [])


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"height": 256, "width": 0}, "a pair of rig 'lab': the size 256x0 "),
        ({"height": 4_000_000_000, "width": 4_000_000_000}, "a pair of rig 'lab': the size 4000000000x4000000000"),
        ({"height": 256, "width": 512}, "frame 1 of lab/left: 5120 symbols came; a picture of 256x512 has 20480"),
    ],
)
def test_a_size_that_is_none_or_another_is_one_line(fields: dict[str, int], line: str) -> None:
    written = recorded_without_disk(FakeEngine(), [job(1)], references=False)
    replay = Replay(lambda session: FakeEngine())
    assert not list(replay.events(damaged(written, **fields)))
    assert len(replay.tally.faults) == 1
    assert replay.tally.faults[0].startswith(line)


def test_two_sizes_in_one_batch_are_one_line() -> None:
    engine = FakeEngine()
    mixed = [
        message
        for number, size in enumerate((DEFAULT_SIZE, WIDE))
        for message in damaged(
            recorded_without_disk(engine, [job(1, size=size)], references=False),
            batch_size=2,
            batch_position=number,
        )
    ]
    replay = Replay(lambda session: engine)
    assert len([event for event in replay.events(mixed[:2] + mixed[3:]) if isinstance(event, ReplayedPair)]) == 1
    assert replay.tally.faults == ["batch 1 has pictures of 256x512 among those of another size"]


def test_a_reference_of_another_size_than_its_picture_is_one_line() -> None:
    engine = FakeEngine()
    written = recorded_without_disk(engine, [job(1, size=WIDE)])
    for message in written:
        if isinstance(message, recording_pb2.RecordedFigures):
            message.reference.CopyFrom(pack(np.zeros((128, 256, 3), np.uint8), types_pb2.PICTURE_FORMAT_PNG))
    replay = Replay(lambda session: engine)
    assert not [event for event in replay.events(written) if isinstance(event, ReplayedFigures)]
    assert replay.tally.faults == ["a recorded reference is 128x256 (rows x columns), its picture 256x512"]
