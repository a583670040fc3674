"""The demo as a whole: center, emulator and two edges, from the configuration files that compose uses too."""

import contextlib
import json
import socket
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from deploy.local.process import ServiceProcess, stop_all
from deploy.local.secured import Parties
from wire.runtime.direct import open_url
from wire.runtime.errors import UserError
from wire.runtime.samples import read_samples
from wire.views import View

CONFIG: Final = Path(str(files("deploy"))) / "config"
FOOTAGE: Final = Path(str(files("deploy"))) / "local" / "footage"
START_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the services listen, all on one host."""

    center: int = 50051
    emulator: int = 50052
    page: int = 8080
    emulator_metrics: int = 9102
    left_metrics: int = 9103
    right_metrics: int = 9104
    host: str = "127.0.0.1"

    @staticmethod
    def free() -> "Ports":
        """Six free ports, for tests that run beside a demo."""
        with contextlib.ExitStack() as held:
            taken = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(6)]
            return Ports(*(server.getsockname()[1] for server in taken))

    @property
    def page_url(self) -> str:
        return f"http://{self.host}:{self.page}"

    def check_free(self) -> None:
        """raises UserError if one is taken, perhaps by another demo."""
        for name, port in asdict(self).items():
            if isinstance(port, int):
                try:
                    socket.create_server((self.host, port)).close()
                except OverflowError:
                    raise UserError(f"port {port} ({name}) does not exist; give one from 1 to 65535") from None
                except OSError:
                    raise UserError(
                        f"port {port} ({name}) is taken on {self.host}; is another demo running?"
                        " Stop it, or run with --free-ports"
                    ) from None

    def environment(self) -> dict[str, str]:
        """Overrides for every service, so that one place decides."""
        center, emulator = f"{self.host}:{self.center}", f"{self.host}:{self.emulator}"
        return {
            "VERGENCE_CENTER__LISTEN": center,
            "VERGENCE_CENTER__EMULATOR": emulator,
            "VERGENCE_CENTER__PAGE__PORT": str(self.page),
            "VERGENCE_EMULATOR__LISTEN": emulator,
            "VERGENCE_EMULATOR__UPSTREAM": center,
            "VERGENCE_EMULATOR__METRICS__PORT": str(self.emulator_metrics),
            "VERGENCE_EDGE__LINK__ADDRESS": emulator,
            "VERGENCE_EDGE__REFERENCE__ADDRESS": center,
        }


class Stack:
    """Starts and stops the four services; restarts one that dies later on."""

    def __init__(
        self,
        ports: Ports,
        logs: Path,
        extra: Mapping[str, str] | None = None,
        certs: Path | None = None,
        more_rigs: Sequence[str] = (),
    ) -> None:
        """
        extra      further environment for every service, such as another footage
        certs      lock all doors with these
        more_rigs  beside the demo's, without metrics of their edges; not behind locked doors
        """
        self.ports, self.logs, self.parties = ports, logs, Parties(certs)
        shared = {**ports.environment(), **(extra or {})}
        self.processes = [
            self._process("center", "center", shared, "center"),
            self._process("emulator", "emulator", shared, "emulator"),
            *self._edges(shared, "", (ports.left_metrics, ports.right_metrics)),
        ]
        for rig in more_rigs:
            self.processes += self._edges({**shared, "VERGENCE_EDGE__RIG": rig}, f"@{rig}", (0, 0))

    def _edges(self, shared: Mapping[str, str], suffix: str, metrics: tuple[int, int]) -> list[ServiceProcess]:
        """Both cameras of a rig."""
        of = {
            view: {"VERGENCE_EDGE__VIEW": view, "VERGENCE_EDGE__METRICS__PORT": str(metrics[view.position])}
            for view in View
        }
        return [self._process(f"edge-{view}{suffix}", "edge", {**shared, **of[view]}, f"demo-{view}") for view in View]

    def _process(self, name: str, service: str, environment: Mapping[str, str], party: str) -> ServiceProcess:
        locked = {**environment, **self.parties.environment(service, party)}
        return ServiceProcess(name, service, CONFIG / f"{service}.yaml", self.logs / f"{name}.log", locked)

    def process(self, name: str) -> ServiceProcess:
        return next(process for process in self.processes if process.name == name)

    def start(self, say: Callable[[str], None]) -> None:
        """Start all and wait until pairs flow.

        raises  UserError with the service's own line if one of them gives up, or if no pair comes in time
        """
        began = time.monotonic()
        self.ports.check_free()
        for process in self.processes:
            process.start()
            say(f"starting {process.name}")
        while time.monotonic() - began < START_SECONDS:
            for process in self.processes:
                if process.exit_code() is not None:
                    raise UserError("\n".join([f"{process.name} gave up:", *process.last_words()]))
            if self.pairs_seen() > 0:
                say(f"both views after {time.monotonic() - began:.1f} s")
                return
            time.sleep(0.1)
        worries = [f"{process.name} says: {line}" for process in self.processes for line in process.last_warning()]
        raise UserError("\n".join([f"no pair after {START_SECONDS:.0f} s", *worries]))

    def revive(self, say: Callable[[str], None]) -> None:
        """Start again what has died."""
        for process in self.processes:
            code = process.exit_code()
            if code is not None:
                say(f"{process.name} ended with {code}; starting it again")
                process.restart()

    def status(self) -> dict[str, Any] | None:
        """What the center says of itself; None while it cannot be asked."""
        try:
            page = urllib.request.Request(f"{self.ports.page_url}/api/status", headers=self.parties.bearer("viewer"))
            with open_url(page, timeout=1) as answer:
                status: dict[str, Any] = json.load(answer)
                return status
        except (OSError, ValueError):
            return None

    def pairs_seen(self) -> float:
        """Pairs (both views) that the center has decoded since it started."""
        page = urllib.request.Request(f"{self.ports.page_url}/metrics", headers=self.parties.bearer("metrics"))
        return metric(page, "vergence_center_pairs_total", outcome="paired")

    def stop(self) -> None:
        stop_all(self.processes)


@contextlib.contextmanager
def running(
    ports: Ports,
    say: Callable[[str], None],
    extra: Mapping[str, str] | None = None,
    certs: Path | None = None,
    more_rigs: Sequence[str] = (),
) -> Iterator[Stack]:
    """A started stack that is stopped whatever happens. Arguments: `Stack`."""
    with tempfile.TemporaryDirectory(prefix="vergence-") as logs:
        stack = Stack(ports, Path(logs), extra, certs, more_rigs)
        try:
            stack.start(say)
            yield stack
        finally:
            stack.stop()


def metric(page: str | urllib.request.Request, name: str, **labels: str) -> float:
    """Sum of a metric's samples that have these labels; 0 where the page cannot be read."""
    try:
        samples = read_samples(page, timeout=1)
    except (OSError, ValueError):
        return 0.0
    return sum(each.value for each in samples if each.name == name and labels.items() <= each.labels.items())
