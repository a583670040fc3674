"""Files that a service follows while it runs: certificates, keys, tokens. One mechanism for all of them."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Generic, TypeVar

from wire.runtime.errors import UserError

T = TypeVar("T")

CHECK_SECONDS: Final = 1.0
"""How often files are looked at, at most."""

_log = logging.getLogger(__name__)

_Stamp = tuple[int, int, int]


class Followed(Generic[T]):
    """What files hold, read again when one of them changes. What cannot be read leaves the former, and is told once."""

    def __init__(self, paths: Sequence[Path], read: Callable[[], T], what: str) -> None:
        """Read them for the first time.

        read    makes the value of the files; raises UserError
        what    they hold, for the log, such as "token book"
        raises  UserError as `read` does
        """
        self._paths, self._read, self._what = paths, read, what
        self._stamps = self._look()
        self._value = read()
        self._looked_at: float | None = None

    def value(self, now: float) -> T:
        """As the files are now, or were CHECK_SECONDS ago. May be called in any thread. now: seconds of any clock"""
        if self._looked_at is None or abs(now - self._looked_at) >= CHECK_SECONDS:
            self._looked_at = now
            self._follow()
        return self._value

    def _follow(self) -> None:
        stamps = self._look()
        if stamps == self._stamps:
            return
        self._stamps = stamps  # also of what is wrong: it is told once, until it changes again
        try:
            self._value = self._read()
        except UserError as problem:
            line = str(problem).splitlines()[0]
            _log.error("the new %s is not taken, the former one counts on: %s", self._what, line)
        else:
            _log.info("the %s was changed and is read again: %s", self._what, ", ".join(map(str, self._paths)))

    def _look(self) -> list[_Stamp | None]:
        return [_stamp(path) for path in self._paths]


def _stamp(path: Path) -> _Stamp | None:
    """What changes with a file; None if it is away. A link is followed: Kubernetes exchanges links."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
