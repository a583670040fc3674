"""Which files of the ring have to go, and what they are called; no clock, no disk."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

_NAME: Final = re.compile(r"vergence-\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{16}-\d{6}\.mcap")
_NANO: Final = 1_000_000_000
FILES_PER_AGE: Final = 4
"""A file spans at most this share of the ring's age, so that age is kept to within a quarter."""


@dataclass(frozen=True, slots=True)
class RingFile:
    """One finished file. newest_at: when it was last written, Unix seconds."""

    name: str
    size: int
    newest_at: float


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of the ring.

    max_bytes   of all files together, the one that is being written included
    max_age     of what a file holds, seconds; +inf keeps it however old it is
    file_bytes  size from which on the next batch goes into a new file
    """

    max_bytes: int
    max_age: float
    file_bytes: int

    def full(self, size: int, age: float) -> bool:
        """Whether a file of this size, begun `age` seconds ago, is to be finished."""
        return size >= self.file_bytes or age >= self.max_age / FILES_PER_AGE

    def expired(self, files: Iterable[RingFile], now: float, writing: int = 0) -> list[RingFile]:
        """The finished files that have to go, oldest first.

        files    every finished file of the ring, in any order
        now      Unix seconds; a file from the future is not old
        writing  bytes that the file that is being written has, or is about to have
        """
        ordered = sorted(files, key=lambda file: file.name)
        gone = [file for file in ordered if now - file.newest_at > self.max_age]
        kept = [file for file in ordered if now - file.newest_at <= self.max_age]
        excess = sum(file.size for file in kept) + writing - self.max_bytes
        for file in kept:
            if excess <= 0:
                break
            gone.append(file)
            excess -= file.size
        return sorted(gone, key=lambda file: file.name)


def file_name(started_at_ns: int, session_id: int, number: int) -> str:
    """Sorts by time. started_at_ns: Unix nanoseconds; session_id: 64 bits; number: of the file in its session."""
    seconds, nanoseconds = divmod(started_at_ns, _NANO)
    at = datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%S")
    return f"vergence-{at}.{nanoseconds // 1000:06d}Z-{session_id:016x}-{number:06d}.mcap"


def is_ours(name: str) -> bool:
    """Whether the ring made this file: nothing else in its folder is ever deleted."""
    return _NAME.fullmatch(name) is not None
