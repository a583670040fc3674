"""What a job sends home: one tar in pieces, for hosts that return few and small files.

`cat result.tar.* | tar x` puts it together.
"""

import contextlib
import io
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from wire.runtime.files import replacing

PIECE: Final = 16 * 2**20
TOTAL: Final = 62 * 2**20
"""A little below what 64 MiB leave beside the log."""


def pack_parcel(files: Sequence[tuple[str, Path]], out: Path, *, piece: int = PIECE, total: int = TOTAL) -> list[str]:
    """Write `out`/result.tar.0, .1 ... of the files that exist, the most important first.

    They take the place of a former parcel once all are written; a piece of that one would come home as a part of this.

    files    (name in the tar, path)
    returns  the names that were left out because there was no room
    """
    room, chosen, left_out = total - 10240, [], []
    for name, path in files:
        if path.is_file():
            needs = path.stat().st_size + 1024
            if needs <= room:
                chosen.append((name, path))
                room -= needs
            else:
                left_out.append(name)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, path in chosen:
            tar.add(path, name)
    content = buffer.getvalue()
    out.mkdir(parents=True, exist_ok=True)
    pieces = {out / f"result.tar.{n}": content[n * piece :][:piece] for n in range(-(-len(content) // piece))}
    with contextlib.ExitStack() as stack:
        for path, part in pieces.items():
            stack.enter_context(replacing(path)).write_bytes(part)
    for former in set(out.glob("result.tar.*")) - pieces.keys():
        former.unlink()
    return left_out
