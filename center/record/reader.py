"""Reads recordings that may be cut off, damaged or made to harm: bounded in memory, one line for each thing wrong."""

import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Final, TypeVar

import lz4.frame
import zstandard
from google.protobuf.message import DecodeError, Message
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, McapRecord, Schema
from mcap.records import Message as McapMessage
from mcap.stream_reader import CRCValidationError, get_chunk_data_stream
from mcap.writer import MCAP0_MAGIC

from wire.runtime.errors import UserError, cause
from wire.v1 import recording_pb2

RECORD_LIMIT: Final = 64 << 20
"""Bytes of one record, and of a chunk unpacked. A recorder's chunks have about 1 MiB."""

MOST_CHANNELS: Final = 4096
MOST_DAMAGE: Final = 100
"""Things wrong with one file that are told."""

_HEAD: Final = struct.Struct("<BQ")
_FOOTER: Final = struct.Struct("<BQQQI")
_UNREADABLE: Final = (McapError, CRCValidationError, struct.error, ValueError, OverflowError, zstandard.ZstdError)
_KNOWN: Final[dict[str, type[Message]]] = {
    kind.DESCRIPTOR.full_name: kind
    for kind in (recording_pb2.RecordingSession, recording_pb2.RecordedPair, recording_pb2.RecordedFigures)
}
R = TypeVar("R", bound=McapRecord)


@dataclass(frozen=True, slots=True)
class RawRecord:
    """One record of the file. end: offset of the byte after it."""

    opcode: int
    body: bytes
    end: int


class Recording:
    """One file. damage: what could not be read so far, one line each; complete: whether its end has been seen."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage: list[str] = []
        self.complete = False
        self._schemas: dict[int, str] = {}
        self._channels: dict[int, str] = {}

    def messages(self) -> Iterator[Message]:
        """Sessions, pairs and figures in the order of the file; what others have added is passed over.

        raises  UserError if the file cannot be read at all, or is no MCAP file
        """
        self._declare()
        for raw in self.records():
            try:
                for each in parse(raw):
                    message = self._take(each)
                    if message is not None:
                        yield message
            except _UNREADABLE as error:
                self._damaged(raw, error)

    def records(self) -> Iterator[RawRecord]:
        """Every whole record up to the end of the data; then `complete` says whether the file was finished."""
        try:
            with self.path.open("rb") as file:
                yield from self._records(file)
        except OSError as error:
            raise UserError(f"{self.path}: {cause(error)}; give a recording that can be read") from None

    def _declare(self) -> None:
        """Schemas and channels as the end of a finished file repeats them: with them, damage at the begin of a file
        costs no more than damage elsewhere."""
        with suppress(OSError, *_UNREADABLE), self.path.open("rb") as file:
            file.seek(-_FOOTER.size - len(MCAP0_MAGIC), os.SEEK_END)
            opcode, _, summary, _, _ = _FOOTER.unpack(file.read(_FOOTER.size))
            if opcode != Opcode.FOOTER or not summary or file.read() != MCAP0_MAGIC:
                return
            file.seek(summary)
            while (head := _HEAD.unpack(file.read(_HEAD.size)))[0] in (Opcode.SCHEMA, Opcode.CHANNEL):
                body = file.read(min(head[1], RECORD_LIMIT))
                for each in parse(RawRecord(head[0], body, file.tell())):
                    self._take(each)

    def _records(self, file: IO[bytes]) -> Iterator[RawRecord]:
        magic = file.read(len(MCAP0_MAGIC))
        if not MCAP0_MAGIC.startswith(magic):
            raise UserError(f"{self.path} is not an MCAP file; give a recording of a center")
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            opcode, length = _HEAD.unpack(head)
            if opcode in (Opcode.DATA_END, Opcode.FOOTER):
                self.complete = True
                return
            at = file.tell() - _HEAD.size
            if opcode == 0 or length > RECORD_LIMIT:
                self._note(f"{self.path}: damaged at byte {at}; what follows it is lost")
                return
            body = file.read(length)
            if len(body) < length:
                break
            yield RawRecord(opcode, body, file.tell())
        self._note(f"{self.path} has no end (a crash, or it is being written); what is whole counts")

    def _damaged(self, raw: RawRecord, error: Exception) -> None:
        why = "its checksum is wrong" if isinstance(error, CRCValidationError) else (str(error) or type(error).__name__)
        self._note(f"{self.path}: the part that ends at byte {raw.end} is left out: {why.splitlines()[0][:120]}")

    def _note(self, line: str) -> None:
        if len(self.damage) < MOST_DAMAGE:
            self.damage.append(line)
        elif len(self.damage) == MOST_DAMAGE:
            self.damage.append(f"{self.path}: more is wrong, which is not told")

    def _take(self, record: McapRecord) -> Message | None:
        if len(self._schemas) + len(self._channels) > MOST_CHANNELS:
            raise UserError(f"{self.path} has more than {MOST_CHANNELS} channels; it is no recording of a center")
        match record:
            case Schema():
                self._schemas[record.id] = record.name
            case Channel():
                self._channels[record.id] = self._schemas.get(record.schema_id, "")
            case McapMessage():
                kind = _KNOWN.get(self._channels.get(record.channel_id, ""))
                if kind is not None:
                    message = kind()
                    try:
                        message.ParseFromString(record.data)
                    except DecodeError:
                        self._note(f"{self.path}: a {kind.DESCRIPTOR.name} cannot be read; left out")
                        return None
                    return message
        return None


def parse(raw: RawRecord) -> Iterator[McapRecord]:
    """The schemas, channels and messages that a record is or holds, one after the other: the two million that a chunk
    may have would be a GB. raises one of several errors of the library"""
    body = ReadDataStream(BytesIO(raw.body))
    match raw.opcode:
        case Opcode.CHUNK:
            chunk = unpacked(Chunk.read(body))
            stream, length = get_chunk_data_stream(chunk, validate_crc=True)
            while stream.count < length:
                opcode, size = _HEAD.unpack(stream.read(_HEAD.size))
                part = RawRecord(opcode, stream.read(size), raw.end)
                if len(part.body) < size:
                    raise ValueError("it ends in the middle of a record")
                if opcode != Opcode.CHUNK:
                    yield from parse(part)
        case Opcode.SCHEMA:
            yield Schema.read(body)
        case Opcode.CHANNEL:
            yield Channel.read(body)
        case Opcode.MESSAGE:
            yield McapMessage.read(body, len(raw.body))


def unpacked(chunk: Chunk) -> Chunk:
    """The chunk without compression. The library would allocate whatever size a file claims.

    raises  ValueError if it is larger than RECORD_LIMIT or compressed in an unknown way
    """
    if chunk.compression == "":
        return chunk
    if chunk.compression == "zstd":
        with zstandard.ZstdDecompressor(max_window_size=RECORD_LIMIT).stream_reader(chunk.data) as stream:
            data = stream.read(RECORD_LIMIT + 1)
    elif chunk.compression == "lz4":
        try:
            data = lz4.frame.LZ4FrameDecompressor().decompress(chunk.data, RECORD_LIMIT + 1)
        except RuntimeError as error:  # the library's own
            raise ValueError(str(error)) from None
    else:
        raise ValueError(f"compression '{chunk.compression[:20]}' is unknown")
    if len(data) > RECORD_LIMIT:
        raise ValueError(f"a chunk has more than {RECORD_LIMIT} bytes")
    chunk.compression, chunk.data = "", data
    return chunk


def files(where: Path) -> list[Path]:
    """The recordings that a path names: a file, or a folder's files in the order of their names.

    raises  UserError if there are none
    """
    if where.is_dir():
        found = sorted(path for path in where.iterdir() if path.suffix == ".mcap" and path.is_file())
        if not found:
            raise UserError(f"{where} has no .mcap files; give a recording, or the record.folder of a center")
        return found
    if not where.exists():
        raise UserError(f"{where} does not exist; give a recording, or the record.folder of a center")
    return [where]
