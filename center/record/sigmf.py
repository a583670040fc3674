"""Received symbols as SigMF recordings, for radio tools, and back.

For each session, rig and view: `NAME.sigmf-data` holds the symbols of its frames one after the other (cf32_le, after
the channel, before the equaliser), `NAME.sigmf-meta` one capture and one annotation for each frame. Where the channel
told gains, `NAME-gain.sigmf-data` holds those. What a replay needs beside them stands in the annotations under the
namespace `vergence`, as the JSON form of the messages in recording.proto. Symbols have no sample rate.

The format is JSON beside raw numbers, so that no library is needed here; the tests check it with SigMF's own.
Source: the SigMF specification 1.2, https://sigmf.org
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from google.protobuf import json_format
from google.protobuf.message import Message
from numpy.typing import NDArray

from wire.contract.arrays import pack_complex, unpack_complex
from wire.contract.names import check_rig
from wire.geometry import LARGEST_SIZE
from wire.runtime.errors import UserError, cause
from wire.v1 import recording_pb2, types_pb2
from wire.views import View

VERSION: Final = "1.2.0"
EXTENSION: Final = {"name": "vergence", "version": "0.1.0", "optional": True}
META_LIMIT: Final = 64 << 20
"""Bytes of one metadata file, about 50,000 frames."""

_ITEM: Final = np.dtype("<c8")
_NANO: Final = 1_000_000_000


@dataclass(slots=True)
class _Track:
    """One recording that is being written."""

    session: recording_pb2.RecordingSession
    rig: str
    view: View
    symbols: int = 0
    gains: int = 0
    captures: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.rig}-{self.view}-{self.session.session_id:016x}"


def write(messages: Iterable[Message], folder: Path) -> dict[str, int]:
    """Write the symbols of every recorded pair; gives the recordings' names and how many frames each holds.

    folder  new or empty
    raises  UserError if the folder cannot be used, nothing is there to be written, or a rig's name is none
    """
    tracks: dict[str, _Track] = {}
    session: recording_pb2.RecordingSession | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UserError(f"{folder} is not empty; give a new folder for the SigMF files")
        for message in messages:
            if isinstance(message, recording_pb2.RecordingSession):
                session = message
            elif isinstance(message, recording_pb2.RecordedPair) and session is not None:
                check_rig(message.rig)  # names of files are made of it
                for frame in message.frames:
                    track = _Track(session, message.rig, View.from_proto(frame.view))
                    _append(folder, tracks.setdefault(track.name, track), message, frame)
        if not tracks:
            raise UserError("the recording holds no symbols; was anything recorded?")
        for track in tracks.values():
            _finish(folder, track)
    except OSError as error:
        raise UserError(f"{folder}: {cause(error)}; give a folder with room that can be written to") from None
    return {track.name: len(track.annotations) for track in tracks.values()}


def _append(folder: Path, track: _Track, pair: recording_pb2.RecordedPair, frame: recording_pb2.RecordedFrame) -> None:
    symbols = unpack_complex(frame.received.symbols)
    gain = unpack_complex(frame.received.channel_state.gain) if frame.received.channel_state.gain.count else None
    about, instant = recording_pb2.RecordedFrame(), recording_pb2.RecordedPair()
    about.CopyFrom(frame)
    about.received.ClearField("symbols")
    about.received.channel_state.ClearField("gain")
    if not frame.received.HasField("channel_state"):
        about.received.ClearField("channel_state")  # touching it above has set it
    instant.CopyFrom(pair)
    instant.ClearField("frames")
    at = datetime.fromtimestamp(frame.captured_at_ns // _NANO, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    track.captures.append(
        {"core:sample_start": track.symbols, "core:datetime": f"{at}.{frame.captured_at_ns % _NANO:09d}Z"}
    )
    annotation: dict[str, Any] = {
        "core:sample_start": track.symbols,
        "core:sample_count": len(symbols),
        "core:label": f"frame {frame.received.sequence}",
        "vergence:pair": json_format.MessageToDict(instant, preserving_proto_field_name=True),
        "vergence:frame": json_format.MessageToDict(about, preserving_proto_field_name=True),
    }
    _extend(folder / f"{track.name}.sigmf-data", symbols)
    track.symbols += len(symbols)
    if gain is not None:
        annotation |= {"vergence:gain_start": track.gains, "vergence:gain_count": len(gain)}
        _extend(folder / f"{track.name}-gain.sigmf-data", gain)
        track.gains += len(gain)
    track.annotations.append(annotation)


def _extend(path: Path, values: NDArray[np.complex64]) -> None:
    with path.open("ab") as file:
        file.write(values.astype(_ITEM, copy=False).tobytes())


def _finish(folder: Path, track: _Track) -> None:
    session = json_format.MessageToDict(track.session, preserving_proto_field_name=True)
    about = {"vergence:session": session, "vergence:rig": track.rig, "vergence:view": str(track.view)}
    text = f"Received symbols of the {track.view} camera of rig {track.rig}, after the channel, before the equaliser."
    _write_meta(folder / track.name, text, about, track.captures, track.annotations)
    if track.gains:
        gains = f"Complex gains of the channel that the symbols of {track.name} crossed, as the receiver was told."
        _write_meta(folder / f"{track.name}-gain", gains, {}, [{"core:sample_start": 0}], [])


def _write_meta(
    stem: Path, text: str, about: Mapping[str, Any], captures: list[dict[str, Any]], annotations: list[dict[str, Any]]
) -> None:
    with Path(f"{stem}.sigmf-data").open("rb") as data:
        sha512 = hashlib.file_digest(data, "sha512").hexdigest()
    whole = {
        "global": {
            "core:datatype": "cf32_le",
            "core:version": VERSION,
            "core:num_channels": 1,
            "core:description": text,
            "core:recorder": "vergence",
            "core:sha512": sha512,
            "core:extensions": [EXTENSION],
            **about,
        },
        "captures": captures,
        "annotations": annotations,
    }
    Path(f"{stem}.sigmf-meta").write_text(json.dumps(whole, indent=1, allow_nan=False) + "\n", encoding="utf-8")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one frame stands. order: session, batch, position in it, view."""

    order: tuple[int, int, int, int]
    stem: Path
    session: recording_pb2.RecordingSession
    annotation: Mapping[str, Any]
    pair: recording_pb2.RecordedPair


def messages(folder: Path) -> Iterator[Message]:
    """Sessions and pairs as they were recorded, from what `write` has written. References are not in SigMF files.

    raises  UserError with one line if a file is missing, damaged or of another kind
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; give one that --to-sigmf has written")
    metas = sorted(path for path in folder.glob("*.sigmf-meta") if not path.stem.endswith("-gain"))
    if not metas:
        raise UserError(f"{folder} has no .sigmf-meta files; give one that --to-sigmf has written")
    places = [place for meta in metas for place in _places(meta)]
    starts: dict[int, int] = {}
    for place in places:
        known = starts.setdefault(place.session.session_id, place.session.started_at_ns)
        starts[place.session.session_id] = min(known, place.session.started_at_ns)
    session, pair = None, recording_pb2.RecordedPair()
    for place in sorted(places, key=lambda place: (starts[place.order[0]], *place.order)):
        if session is None or session.session_id != place.session.session_id:
            if pair.frames:
                yield pair
            session, pair = place.session, recording_pb2.RecordedPair()
            yield session
        if (pair.batch, pair.batch_position) != (place.pair.batch, place.pair.batch_position) or not pair.frames:
            if pair.frames:
                yield pair
            pair = recording_pb2.RecordedPair()
            pair.CopyFrom(place.pair)
        pair.frames.append(_frame(place))
    if pair.frames:
        yield pair


def _places(meta: Path) -> Iterator[_Place]:
    try:
        if meta.stat().st_size > META_LIMIT:
            raise UserError(f"{meta} has more than {META_LIMIT} bytes; split the recording")
        whole = json.loads(meta.read_text(encoding="utf-8"))
        about, annotations = whole["global"], whole["annotations"]
        if about["core:datatype"] != "cf32_le":
            raise UserError(f"{meta}: datatype {str(about['core:datatype'])[:20]} is not read here; cf32_le is")
        session = json_format.ParseDict(about["vergence:session"], recording_pb2.RecordingSession())
        for each in annotations:
            pair = json_format.ParseDict(each["vergence:pair"], recording_pb2.RecordedPair())
            view = types_pb2.View.Value(str(each["vergence:frame"]["view"]))
            order = (session.session_id, pair.batch, pair.batch_position, view)
            yield _Place(order, meta.with_suffix(""), session, each, pair)
    except OSError as error:
        raise UserError(f"{meta}: {cause(error)}; give a folder with all files that --to-sigmf has written") from None
    except (ValueError, LookupError, TypeError, RecursionError, json_format.ParseError) as error:
        why = f"{type(error).__name__}: {error}".splitlines()[0][:160]
        raise UserError(f"{meta} is not what --to-sigmf writes ({why})") from None


def _frame(place: _Place) -> recording_pb2.RecordedFrame:
    try:
        frame = json_format.ParseDict(place.annotation["vergence:frame"], recording_pb2.RecordedFrame())
        symbols = _numbers(place.stem, place.annotation["core:sample_start"], place.annotation["core:sample_count"])
        frame.received.symbols.CopyFrom(pack_complex(symbols))
        if "vergence:gain_count" in place.annotation:
            stem = place.stem.with_name(f"{place.stem.name}-gain")
            gain = _numbers(stem, place.annotation["vergence:gain_start"], place.annotation["vergence:gain_count"])
            frame.received.channel_state.gain.CopyFrom(pack_complex(gain))
    except OSError as error:
        raise UserError(
            f"{place.stem}.sigmf-data: {cause(error)}; give a folder with all files that --to-sigmf has written"
        ) from None
    except (ValueError, LookupError, TypeError, json_format.ParseError) as error:
        why = f"{type(error).__name__}: {error}".splitlines()[0][:160]
        raise UserError(f"{place.stem}.sigmf-meta is not what --to-sigmf writes ({why})") from None
    return frame


def _numbers(stem: Path, start: int, count: int) -> NDArray[np.complex64]:
    """raises UserError if the data ends before, or these are more than a frame has: a file with a hole may say 10 GB"""
    path = Path(f"{stem}.sigmf-data")
    have = path.stat().st_size // _ITEM.itemsize
    if not (isinstance(start, int) and isinstance(count, int) and 0 <= start <= start + count <= have):
        raise UserError(f"{path} has {have} numbers; samples {start} to {start} + {count} are asked for")
    if count > LARGEST_SIZE.symbols:
        raise UserError(f"{path}: {count} numbers are said to be one frame; {LARGEST_SIZE.symbols} are the most")
    return np.fromfile(path, _ITEM, count, offset=start * _ITEM.itemsize)
