"""One service as a child process: started, watched, started again, stopped for certain."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

import vergence
from wire.runtime.errors import UserError

STOP_SECONDS: Final = 8.0
_LEASH: Final = str(Path(__file__).with_name("leash.py"))


@dataclass
class ServiceProcess:
    """A service of the demo.

    name         shown to the person
    service      edge, emulator or center; run as `vergence-<service> run --config config`
    log          file that takes everything the service prints
    environment  added to ours
    """

    name: str
    service: str
    config: Path
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    _child: subprocess.Popen[bytes] | None = None
    _stream: IO[bytes] | None = None

    def start(self) -> None:
        """Start it in a session of its own, so that Ctrl-C reaches only the runner, which then stops all in order."""
        self._stream = self._stream or self.log.open("ab", buffering=0)
        leash = [sys.executable, "-I", _LEASH, str(os.getpid())] if sys.platform == "linux" else []
        self._child = subprocess.Popen(
            # As a file and under -P: a center.py in the folder where the demo is started is none of its business.
            [*leash, sys.executable, "-P", vergence.__file__, self.service, "run", "--config", str(self.config)],
            stdin=subprocess.DEVNULL,
            stdout=self._stream,
            stderr=self._stream,
            env={**os.environ, **self.environment},
            start_new_session=True,
        )

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._child.poll() if self._child else None

    def wait(self, seconds: float) -> int | None:
        """Its exit code once it has ended, None if it never ran. raises TimeoutExpired after `seconds`"""
        return self._child.wait(seconds) if self._child else None

    def restart(self) -> None:
        """Start it again after it has died."""
        if self._child:
            self._child.wait()
        self.start()

    def ask_to_stop(self) -> None:
        if self._child and self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)

    def stop_within(self, seconds: float) -> float:
        """SIGTERM, and wait for the end. returns seconds that it took; raises UserError after `seconds`"""
        began = time.monotonic()
        self.ask_to_stop()
        try:
            self.wait(seconds)
        except subprocess.TimeoutExpired:
            raise UserError(f"{self.name} was told to stop, and still runs after {seconds:.0f} s") from None
        return time.monotonic() - began

    def make_sure(self, deadline: float) -> None:
        """Wait until `deadline` (time.monotonic), then kill."""
        if self._child:
            try:
                self._child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        if self._stream:
            self._stream.close()
            self._stream = None

    def last_words(self, lines: int = 3) -> list[str]:
        """The end of its log."""
        said = self._lines()
        return ([line for line in said if "error:" in line] or said)[-lines:]

    def last_warning(self) -> list[str]:
        """The last line of its log that warns, if there is one."""
        return [line for line in self._lines() if "WARNING" in line][-1:]

    def _lines(self) -> list[str]:
        return self.log.read_text(encoding="utf-8", errors="replace").splitlines() if self.log.exists() else []


def stop_all(processes: list[ServiceProcess]) -> None:
    """Ask every one, sources first, then wait; nothing is left running afterwards."""
    for process in reversed(processes):
        process.ask_to_stop()
    deadline = time.monotonic() + STOP_SECONDS
    for process in reversed(processes):
        process.make_sure(deadline)
