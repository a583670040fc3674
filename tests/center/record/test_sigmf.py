"""Symbols as SigMF recordings and back."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from center.decode.engines import Engine
from center.record import sigmf
from center.record.replay import Replay
from tests.center.record.test_replay import BATCHES, recorded
from tests.recordings import Record, job
from wire.contract.arrays import unpack_complex
from wire.runtime.errors import UserError
from wire.v1 import recording_pb2
from wire.views import View


def test_back_from_sigmf_every_bit_is_decoded_again(record: Record, codec_engine: Engine, tmp_path: Path) -> None:
    folder = record([*BATCHES, [job(4, sample_type="f16"), job(4, "attic", sample_type="i8")]])
    written = sigmf.write(recorded(folder), tmp_path / "sigmf")
    assert sum(written.values()) == 15
    replay = Replay(lambda session: codec_engine)
    list(replay.events(sigmf.messages(tmp_path / "sigmf")))
    assert (replay.tally.pairs, replay.tally.equal, replay.tally.different) == (8, 15, 0)


def test_sigmfs_own_library_takes_the_files(record: Record, tmp_path: Path) -> None:
    library = pytest.importorskip("sigmf.sigmffile", reason="sigmf is not installed; it comes with the dev extra")
    messages = recorded(record(BATCHES))
    sigmf.write(messages, tmp_path / "sigmf")
    metas = sorted((tmp_path / "sigmf").glob("*.sigmf-meta"))
    assert len(metas) == 9  # three rigs of two views, and the gains of their left links
    for meta in metas:
        read = library.fromfile(str(meta))  # checks the data's SHA-512
        read.validate()
        assert read.get_global_field("core:datatype") == "cf32_le"
    left = next(meta for meta in metas if meta.name.startswith("lab-left") and not meta.stem.endswith("-gain"))
    read = library.fromfile(str(left))
    frames = [
        frame
        for message in messages
        if isinstance(message, recording_pb2.RecordedPair) and message.rig == "lab"
        for frame in message.frames
        if frame.view == View.LEFT.to_proto()
    ]
    assert len(read.get_annotations()) == len(read.get_captures()) == len(frames)
    for annotation, capture, frame in zip(read.get_annotations(), read.get_captures(), frames, strict=True):
        samples = read.read_samples(annotation["core:sample_start"], annotation["core:sample_count"])
        np.testing.assert_array_equal(samples, unpack_complex(frame.received.symbols))
        assert annotation["core:label"] == f"frame {frame.received.sequence}"
        assert capture["core:datetime"].startswith("2023-11-14T22:13:20.")


def test_a_folder_that_holds_something_is_not_written_to(record: Record, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("")
    with pytest.raises(UserError, match="full is not empty; give a new folder for the SigMF files"):
        sigmf.write(recorded(record([[job(1)]])), tmp_path / "full")


@pytest.mark.parametrize("rig", ["../outside", "/tmp/outside", "a/b", ".."])
def test_a_recording_names_no_file_outside_the_folder(record: Record, tmp_path: Path, rig: str) -> None:
    messages = recorded(record([[job(1)]]))
    for message in messages:
        if isinstance(message, recording_pb2.RecordedPair):
            message.rig = rig
    with pytest.raises(UserError, match="is not a name"):
        sigmf.write(messages, tmp_path / "sigmf")
    assert not list(tmp_path.rglob("*.sigmf-*"))


def _edit(change: Callable[[Any], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        meta = next(path for path in folder.glob("*-left-*.sigmf-meta") if not path.stem.endswith("-gain"))
        whole = json.loads(meta.read_text())
        change(whole)
        meta.write_text(json.dumps(whole))

    return edit


def _truncate(folder: Path) -> None:
    path = next(path for path in folder.glob("*-left-*.sigmf-data") if not path.stem.endswith("-gain"))
    path.write_bytes(path.read_bytes()[:-8])


def _hole(folder: Path) -> None:
    """A file of 10 GB that takes none on the disk, called one frame."""
    path = next(path for path in folder.glob("*-left-*.sigmf-data") if not path.stem.endswith("-gain"))
    os.truncate(path, 10**10)
    _edit(lambda whole: whole["annotations"][0].update({"core:sample_count": 10**9}))(folder)


def _nest(folder: Path) -> None:
    next(folder.glob("*-right-*.sigmf-meta")).write_text("[" * 100_000)


@pytest.mark.parametrize(
    ("harm", "line"),
    [
        (_truncate, "has 5119 numbers; samples 0 to 0"),
        (_hole, "1000000000 numbers are said to be one frame; 81920 are the most"),
        (_nest, "is not what --to-sigmf writes"),
        (_edit(lambda whole: whole.pop("annotations")), "is not what --to-sigmf writes"),
        (_edit(lambda whole: whole.update(annotations=7)), "is not what --to-sigmf writes"),
        (
            _edit(lambda whole: whole["global"].update({"core:datatype": "ri16_le"})),
            "datatype ri16_le is not read here",
        ),
        (_edit(lambda whole: whole["annotations"][0].update({"core:sample_start": -1})), "samples -1 to"),
        (_edit(lambda whole: whole["annotations"][0].update({"core:sample_start": "0"})), "samples 0 to"),
        (_edit(lambda whole: whole["annotations"][0].update({"core:sample_count": 2**63})), "are asked for"),
        (_edit(lambda whole: whole["annotations"][0].update({"vergence:gain_count": 10**9})), "are asked for"),
        (_edit(lambda whole: whole["annotations"][0]["vergence:frame"].update(view="UP")), "is not what --to-sigmf"),
        (_edit(lambda whole: whole["annotations"][0]["vergence:pair"].update(batch="x")), "is not what --to-sigmf"),
        (lambda folder: [path.unlink() for path in folder.glob("*.sigmf-data")], "no such file or directory"),
        (lambda folder: [path.unlink() for path in folder.iterdir()], r"has no \.sigmf-meta files"),
    ],
)
def test_files_that_were_tampered_with_are_one_line(
    harm: Callable[[Path], None], line: str, record: Record, codec_engine: Engine, tmp_path: Path
) -> None:
    folder = tmp_path / "sigmf"
    sigmf.write(recorded(record([[job(1)]])), folder)
    harm(folder)
    with pytest.raises(UserError, match=line) as caught:
        list(Replay(lambda session: codec_engine).events(sigmf.messages(folder)))
    assert "\n" not in str(caught.value)
