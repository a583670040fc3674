"""One MCAP file, appended to so that what was flushed survives a kill and a loss of power."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from google.protobuf.message import Message
from mcap.well_known import MessageEncoding
from mcap.writer import CompressionType, Writer
from mcap_protobuf.schema import register_schema

CHUNK_BYTES: Final = 1 << 20
"""A chunk is the unit that is checked by its checksum and lost as a whole when it is torn."""

PROFILE: Final = "vergence"
_OVERHEAD: Final = 64
"""Bytes that a message costs beside its own, its place in the index included."""


class AppendFile:
    """A new file as the MCAP writer takes it: every write reaches the kernel, nothing waits in a buffer of ours.

    raises  OSError as the system does, from every method
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        self._offset = 0

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._fd, rest) :]
        self._offset += len(data)
        return len(data)

    def tell(self) -> int:
        return self._offset

    def flush(self) -> None:
        """Nothing waits here; `sync` is what makes it last."""

    def sync(self) -> None:
        os.fsync(self._fd)

    def truncate(self, size: int) -> None:
        os.ftruncate(self._fd, size)

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class McapFile:
    """A recording that grows. Not compressed: symbols are noise, and pictures are JPEG already.

    path    must not exist
    raises  OSError as the system does, from every method; then only `abandon` may follow
    """

    def __init__(self, path: Path, output: AppendFile | None = None) -> None:
        self.path = path
        self._output = AppendFile(path) if output is None else output
        self._channels: dict[str, int] = {}
        self._schemas: dict[str, int] = {}
        self._durable = self._in_chunk = 0
        self._writer = Writer(self._output, CHUNK_BYTES, CompressionType.NONE)  # type: ignore[arg-type]
        try:
            self._writer.start(profile=PROFILE)
            sync_folder(path.parent)
        except OSError:
            self.abandon()
            raise

    @property
    def size(self) -> int:
        """Bytes that the file has, with the chunk in progress and without the index at its end."""
        return self._output.tell() + self._in_chunk

    def add(self, topic: str, message: Message, log_time: int, publish_time: int, sequence: int = 0) -> None:
        """Append one message; times in Unix nanoseconds."""
        if topic not in self._channels:
            self._channels[topic] = self._writer.register_channel(
                topic, MessageEncoding.Protobuf, self._schema(message)
            )
        data, before = message.SerializeToString(), self._output.tell()
        self._writer.add_message(self._channels[topic], log_time, data, publish_time, sequence & 0xFFFFFFFF)
        self._in_chunk = self._in_chunk + len(data) + _OVERHEAD if self._output.tell() == before else 0

    def flush(self) -> None:
        """End the chunk and wait until the disk has it: after this everything so far survives."""
        self._writer.flush()  # type: ignore[no-untyped-call]
        self._output.sync()
        self._durable, self._in_chunk = self._output.tell(), 0

    def finish(self) -> None:
        """Write the index, wait for the disk, close."""
        self._writer.finish()  # type: ignore[no-untyped-call]
        self._output.sync()
        self._output.close()

    def abandon(self) -> None:
        """Close after an error; cut off what was not flushed. Never raises."""
        with suppress(OSError):
            self._output.truncate(self._durable)
        with suppress(OSError):
            self._output.close()
        if not self._durable:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)

    def _schema(self, message: Message) -> int:
        name = message.DESCRIPTOR.full_name
        if name not in self._schemas:
            self._schemas[name] = register_schema(self._writer, type(message))
        return self._schemas[name]


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the folder's entries: a new file is lost with the power otherwise."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
