"""Gives a recording that a crash cut off its end, so that every MCAP reader takes it."""

import os
from pathlib import Path
from typing import Final

from mcap.data_stream import RecordBuilder
from mcap.records import DataEnd, Footer
from mcap.writer import MCAP0_MAGIC

from center.record.reader import Recording, parse
from wire.runtime.errors import UserError, cause

_SHORTEST: Final = 2 * len(MCAP0_MAGIC)


def finish_torn(path: Path) -> bool:
    """Finish a recording that has no end; one without a whole message is deleted. Gives whether something was to do.

    The last whole chunk is kept: nothing that was flushed is ever cut off. The end has no index, which a reader then
    makes for itself.

    raises  UserError if the file cannot be read or written, or is no MCAP file
    """
    try:
        if path.stat().st_size >= _SHORTEST and _tail(path) == MCAP0_MAGIC:
            return False
        end, holds_something = _whole(path)
        if not holds_something:
            path.unlink()
            return True
        with path.open("r+b") as file:
            file.truncate(end)
            file.seek(end)
            file.write(_ending())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise UserError(f"{path}: {cause(error)}; it stays as the crash left it") from None
    return True


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-len(MCAP0_MAGIC), os.SEEK_END)
        return file.read()


def _whole(path: Path) -> tuple[int, bool]:
    """Offset of the end of the last whole record, and whether a chunk stands before it."""
    if path.stat().st_size < len(MCAP0_MAGIC):
        return 0, False
    end, chunks = len(MCAP0_MAGIC), 0
    for raw in Recording(path).records():
        try:
            chunks += sum(1 for _ in parse(raw)) > 0
        except Exception:  # a torn chunk, in whatever way: the reader tells them apart, here it is the end
            break
        end = raw.end
    return end, chunks > 0


def _ending() -> bytes:
    builder = RecordBuilder()
    DataEnd(0).write(builder)
    Footer(0, 0, 0).write(builder)
    return bytes(builder.end()) + MCAP0_MAGIC  # type: ignore[no-untyped-call]
