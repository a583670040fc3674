"""The log of a service: lines on standard error that a stalled reader cannot turn into a standstill, nor a stranger
into a full disk.

A pipe holds 64 kB. Where nobody empties it, a write blocks, and an event loop that logs would stop with every camera
and every page on it. So a thread of its own writes, from a bounded queue; what does not fit is left out and counted.
"""

import contextlib
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

from wire.runtime.errors import UserError, one_line

MOST_LINES: Final = 1_000
"""That wait to be written."""
LINES_A_SECOND: Final = 100.0
"""That are written on and on, MOST_LINES in one go: who connects and leaves a thousand times a second would else fill
the disk, or turn over a log that is kept short until nothing of before is left. Errors are always written."""
FLUSH_SECONDS: Final = 0.5
"""How long the end of the process waits for lines to be written."""
LONGEST: Final = 4_000
"""Letters of a message; what is behind is left out."""

_FORMAT: Final = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class _OneLine(logging.Formatter):
    """One line a message, whatever text of a stranger stands in it: no forged lines, no escape sequences.

    Only a traceback takes more.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 as logging names it
        record.message = one_line(record.message, LONGEST)
        return super().formatMessage(record)


class QueuedHandler(logging.Handler):
    """Hands lines to a thread that writes them. Never blocks, never raises."""

    def __init__(
        self,
        write: Callable[[bytes], None],
        most: int = MOST_LINES,
        rate: float = LINES_A_SECOND,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """write: may block, and may raise OSError; most: lines that may wait; rate: lines a second; clock: seconds"""
        super().__init__()
        self._write, self._rate, self._clock = write, rate, clock
        self._allowed, self._allowed_at = float(MOST_LINES), clock()
        self._lines: queue.Queue[str] = queue.Queue(most)
        self._left_out = 0
        self.setFormatter(_OneLine(_FORMAT))
        threading.Thread(target=self._write_on, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Called under the handler's lock."""
        now = self._clock()
        self._allowed = min(MOST_LINES, self._allowed + (now - self._allowed_at) * self._rate)
        self._allowed_at = now
        if self._allowed < 1.0 and record.levelno < logging.ERROR:
            self._left_out += 1
            return
        self._allowed = max(0.0, self._allowed - 1.0)
        try:
            self._lines.put_nowait(self.format(record))
        except Exception:  # a full queue, or a record that cannot be formatted: a log never harms who logs
            self._left_out += 1

    def flush(self) -> None:
        """Wait until everything is written, at most FLUSH_SECONDS."""
        until = time.monotonic() + FLUSH_SECONDS
        with self._lines.all_tasks_done:
            while self._lines.unfinished_tasks and (left := until - time.monotonic()) > 0.0:
                self._lines.all_tasks_done.wait(left)

    def _write_on(self) -> None:
        while True:
            line = self._lines.get()
            with contextlib.suppress(OSError):  # nobody is there to read; the work goes on
                self._write((line + "\n").encode(errors="backslashreplace"))
                if self._left_out:
                    left_out, self._left_out = self._left_out, 0
                    self._write(f"... {left_out} lines are left out here: too many, or not read fast enough\n".encode())
            self._lines.task_done()


def log_to_stderr() -> None:
    """Log to standard error from now on; the level comes from VERGENCE_LOG (default INFO).

    raises  UserError if that is no level
    """
    level = os.environ.get("VERGENCE_LOG", "INFO").upper()
    if level not in logging.getLevelNamesMapping():
        raise UserError(f"VERGENCE_LOG={level} is not a level; use DEBUG, INFO, WARNING or ERROR")
    if not logging.root.handlers:  # else somebody has arranged it otherwise
        number = sys.stderr.fileno()  # past Python's buffer, whose lock a blocked thread would hold at the very end
        logging.basicConfig(level=level, handlers=[QueuedHandler(lambda data: _write_all(number, data))])


def _write_all(number: int, data: bytes) -> None:
    while data:
        data = data[os.write(number, data) :]
