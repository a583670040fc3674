"""Files that are never there by half."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


def write_atomically(path: Path, data: bytes | str) -> None:
    """Replace a file in one move: whoever reads it, also after a crash, finds all of the old one or all of the new.

    path    in a folder that exists
    data    the whole content; text is written as UTF-8
    raises  OSError if it cannot be written; then the old file stays, and nothing else is left
    """
    with replacing(path) as partial:
        partial.write_bytes(data.encode() if isinstance(data, str) else data)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The same for a file that something else writes: it writes the path that is given, which then takes the place.

    The content is on the disk before the name leads to it: else a power cut could leave an empty file.
    An error inside leaves the old file, and nothing else.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
