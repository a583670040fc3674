"""Commands of ours, one after the other, none of which outlasts the time that the host gives."""

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TextIO

POLL: Final = 0.1
READING: Final = 2.0
"""Seconds for what an ended command has printed; its own children may keep its output open for longer."""


class Children:
    """Runs them, and notes what they print on the screen and in a log.

    log      where lines go
    ends     when what runs is told to end, of `time.monotonic`
    stopped  whether the host wants us to end before that
    grace    seconds that a command then has to save, before it is killed
    """

    def __init__(self, log: TextIO, ends: float, stopped: Callable[[], bool], grace: float) -> None:
        self._log, self._ends, self._stopped, self._grace = log, ends, stopped, grace
        self._lock = threading.Lock()

    def why_over(self) -> str | None:
        """Why nothing may run any more; None as long as something may."""
        if self._stopped():
            return "a signal came"
        return "the time is over" if time.monotonic() >= self._ends else None

    def say(self, line: str) -> None:
        """A line for the screen and the log. A screen or a disk that takes no more holds up nothing."""
        with self._lock:
            with contextlib.suppress(OSError, ValueError):
                self._log.write(f"{line}\n")
                self._log.flush()
            with contextlib.suppress(OSError, ValueError):
                print(line, flush=True)

    def run(self, command: Sequence[str], saves: Path | None = None) -> int | None:
        """Python with these arguments, to its end or until `why_over`.

        saves    the file that it writes when it is told to end: nothing is waited for that comes after it
        returns  its exit code, None if it was cut off
        """
        name = " ".join(command[:2])
        if (why := self.why_over()) is not None:
            self.say(f"job: {why}; left out: {name}")
            return None
        pipe, cut_off = subprocess.PIPE, False
        child = subprocess.Popen(
            [sys.executable, "-u", *command], stdout=pipe, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        assert child.stdout is not None
        reader = threading.Thread(target=self._copy, args=(child.stdout,), daemon=True)
        reader.start()
        try:
            while child.poll() is None and not cut_off:
                time.sleep(POLL)
                cut_off = (why := self.why_over()) is not None
            if cut_off:
                self.say(f"job: {why}; told to end, with {self._grace:.0f} s to save: {name}")
                self._end(child, saves)
        finally:
            child.kill()  # nothing, for one that has ended
            code = child.wait()
            reader.join(READING)
        return None if cut_off else code

    def _end(self, child: subprocess.Popen[str], saves: Path | None) -> None:
        """Ask it to, and wait until it has, or has saved, or time is up."""
        before, until = _age(saves), time.monotonic() + self._grace
        child.terminate()
        while child.poll() is None and _age(saves) == before and time.monotonic() < until:
            time.sleep(POLL)

    def _copy(self, lines: TextIO) -> None:
        with lines:
            for line in lines:
                self.say(line.rstrip("\n"))


def _age(file: Path | None) -> int | None:
    """When it was written; None if it is not there."""
    return file.stat().st_mtime_ns if file is not None and file.exists() else None
