"""Thousands of connections that say nothing, on every port: does a rig that is there lose anything?"""

import asyncio
import dataclasses
import resource
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any, Final

from deploy.bench.faults.marked import environment, missed
from deploy.bench.faults.usage import growth, holdings, report_growth
from deploy.bench.watch import PairWatcher
from deploy.local.stack import Ports, metric, running
from wire.runtime.errors import UserError

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
"""How an HTTP/2 client begins, with empty settings: a client of gRPC without a call."""


class Idlers:
    """Keeps connections open to several ports, and opens new ones for those that are closed; in a thread of its own.

    open    connections at this moment, by port
    opened  so far, by port
    """

    def __init__(self, ports: list[int], of_each: int) -> None:
        self.open, self.opened = dict.fromkeys(ports, 0), dict.fromkeys(ports, 0)
        self._of_each = of_each
        self._end = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._work()), name="idlers", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._end.set()
        self._thread.join(30)

    async def _work(self) -> None:
        tasks = [asyncio.create_task(self._one(port, n)) for port in self.open for n in range(self._of_each)]
        while not self._end.is_set():  # noqa: ASYNC110 it is set in another thread
            await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _one(self, port: int, number: int) -> None:
        """One connection, silent or with HTTP/2's first words, for ever."""
        await asyncio.sleep(number / 500)  # so many a second: a flood, not one blow
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                self.open[port] += 1
                self.opened[port] += 1
                try:
                    if number % 2:
                        writer.write(PREFACE)
                    while await reader.read(4096):
                        pass
                finally:
                    self.open[port] -= 1
                    writer.transport.abort()
            await asyncio.sleep(1.0)


def drill(idle: int, fps: float, seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Hold `idle` connections to each of the six ports for `seconds`, beside a rig at `fps`.

    raises  UserError if this process may not open so many files
    """
    ports = Ports.free()
    doors = {
        "center": ports.center,
        "emulator": ports.emulator,
        "page": ports.page,
        "metrics of the emulator": ports.emulator_metrics,
        "metrics of the left edge": ports.left_metrics,
        "metrics of the right edge": ports.right_metrics,
    }
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = idle * len(doors) + 200
    if most != resource.RLIM_INFINITY and most < wanted:
        raise UserError(f"{wanted} open files are needed and {most} allowed; raise `ulimit -n` or ask for fewer")
    with ExitStack() as held:
        stack = held.enter_context(
            running(ports, say, environment(fps))
        )  # before ours is raised: theirs stays as it is
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
        watcher = PairWatcher(f"{ports.host}:{ports.center}")
        held.callback(watcher.close)
        quiet_ns = time.time_ns()
        time.sleep(seconds / 2)
        before, began_ns = holdings(stack), time.time_ns()
        idlers = Idlers(list(doors.values()), idle)
        held.callback(idlers.close)
        highest = dict.fromkeys(doors, 0)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(0.25)
            highest = {name: max(highest[name], idlers.open[port]) for name, port in doors.items()}
        grown, until_ns = growth(before, holdings(stack)), time.time_ns()
        watcher.wait_for_pair(until_ns, 10.0)
        seen = watcher.since(0.0)
        lost_before = missed(seen, "demo", fps, quiet_ns + 10**9, began_ns)
        lost = missed(seen, "demo", fps, began_ns, until_ns)
        idlers.close()
        answers = metric(f"{ports.page_url}/metrics", "vergence_center_ready")
    return {
        "idle": idle,
        "seconds": seconds,
        "fps": fps,
        "highest": highest,
        "opened": {name: idlers.opened[port] for name, port in doors.items()},
        "instants": round(seconds * fps),
        "lost": lost,
        "instants_before": round((seconds / 2 - 1) * fps),
        "lost_before": lost_before,
        "page_answers": bool(answers),
        "growth": {name: dataclasses.asdict(each) for name, each in grown.items()},
        "failed": int(lost > 0),
    }


def report(result: dict[str, Any]) -> None:
    """Print the tables."""
    print("\n| port | most open at once | opened |")
    print("|---|---|---|")
    for name, most in result["highest"].items():
        print(f"| {name} | {most} | {result['opened'][name]} |")
    page = "answers" if result["page_answers"] else "is mute"
    print(
        f"\n{result['lost']} of {result['instants']} instants at {result['fps']:g}/s lost in {result['seconds']:.0f} s"
        f" with {result['idle']} idle connections on every port ({result['lost_before']} of"
        f" {result['instants_before']} without);"
        f" afterwards the page {page}; what the processes hold more meanwhile:"
    )
    report_growth(result["growth"])
