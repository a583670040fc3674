"""Files that are never there by half."""

import contextlib
import os
from pathlib import Path


def write_atomically(path: Path, data: bytes | str) -> None:
    """Replace a file in one move: whoever reads it, also after a crash, finds all of the old one or all of the new.

    path    in a folder that exists
    data    the whole content; text is written as UTF-8
    raises  OSError if it cannot be written; then the old file stays, and nothing else is left
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(data.encode() if isinstance(data, str) else data)
        os.replace(partial, path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
