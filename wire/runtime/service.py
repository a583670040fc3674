"""The command line that every service shares: `run`, `check-config`, logging, signals, exit codes."""

import argparse
import asyncio
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from wire.runtime import notify, yaml_config
from wire.runtime.errors import UserError, one_line
from wire.runtime.log import LONGEST, log_to_stderr
from wire.security.section import SecuredConfig

Config = TypeVar("Config", bound=yaml_config.Section)
EXIT_PROBLEM: Final = 1
EXIT_CONFIG: Final = 2
FILES: Final = 65_536
DOUBLE_S: Final = 0.5


class Service(Generic[Config]):
    """A service that can be run from a configuration.

    name  such as "edge"; the program is `vergence-<name>`, the environment prefix `VERGENCE_<NAME>`
    run   a coroutine that works until the event is set, then drains and ends
    """

    def __init__(
        self, name: str, model: type[Config], run: Callable[[Config, asyncio.Event], Coroutine[Any, Any, None]]
    ) -> None:
        self.name, self.model, self.run = name, model, run
        self.parser = argparse.ArgumentParser(prog=f"vergence-{name}")
        self.commands = self.parser.add_subparsers(dest="command", required=True)
        for command, text in (("run", "run until interrupted"), ("check-config", "check a configuration and stop")):
            self.add(command, text)

    def add(self, command: str, text: str) -> argparse.ArgumentParser:
        """Add a command that takes --config."""
        parser = self.commands.add_parser(command, help=text, description=text)
        parser.add_argument("--config", type=Path, metavar="FILE", help="YAML file; without it the defaults count")
        return parser

    def load(self, path: Path | None) -> Config:
        """raises UserError on any error in the file or the environment."""
        return yaml_config.load(self.model, path, f"VERGENCE_{self.name.upper()}", os.environ)

    def main(self, arguments: list[str] | None = None) -> int:
        """Parse, run, and turn problems into one line and an exit code: 1 at work, 2 in the configuration."""
        parsed = self.parser.parse_args(arguments)
        try:
            loaded = self.load(parsed.config)
            if parsed.command == "check-config":
                print(f"{parsed.config or 'defaults'}: ok")
                return 0
            return self.execute(parsed.command, loaded, parsed)
        except UserError as problem:
            for line in str(problem).splitlines():
                print(f"vergence-{self.name}: error: {one_line(line, LONGEST)}", file=sys.stderr)
            return EXIT_CONFIG if isinstance(problem, yaml_config.ConfigError) else EXIT_PROBLEM

    def execute(self, command: str, loaded: Config, parsed: argparse.Namespace) -> int:
        """Carry out one command; services with more commands extend it."""
        log_to_stderr()
        raise_file_limit()
        for line in loaded.open_doors() if isinstance(loaded, SecuredConfig) else ():
            logging.getLogger("vergence").warning("security.allow_insecure is on: %s", line)
        asyncio.run(until_signalled(lambda stop: self.run(loaded, stop)))
        return 0


def raise_file_limit() -> None:
    """Let this process open as many files as the system allows it, at most FILES: each connection is one.

    The usual soft limit of 1,024 is for programs that still use select(2).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def until_signalled(run: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine and set its event on SIGINT or SIGTERM; under systemd, with its watchdog.

    The first signal begins a draining shutdown; a second one ends the process at once, as by a signal. What comes
    within DOUBLE_S of the first is the same wish: timeout(1) and wrappers signal a process and then its whole group.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    first = 0.0

    def signalled(number: int) -> None:
        nonlocal first
        if stop.is_set():
            if loop.time() - first < DOUBLE_S:
                return
            logging.getLogger("vergence").warning("a second signal: ending at once, what is queued is lost")
            logging.shutdown()
            os._exit(128 + number)
        first = loop.time()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signalled, number)
    async with notify.watched():
        await run(stop)
