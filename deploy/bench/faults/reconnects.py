"""Connections that break again and again, on both hops in turn: does everybody come back, and does anything grow?"""

import dataclasses
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final

from deploy.bench.faults.marked import environment
from deploy.bench.faults.proxy import Proxy
from deploy.bench.faults.usage import MOST_GROWTH, growth, holdings, report_growth
from deploy.bench.watch import PairWatcher
from deploy.local.stack import Ports, Stack, metric, running
from wire.runtime.errors import UserError

FPS: Final = 2.0
WARM_UP: Final = 20
"""Reconnects before the first look at what processes hold."""

_LIMIT_SECONDS: Final = 10.0
_QUICK: Final = {"VERGENCE_EDGE__LINK__BACKOFF_FIRST_S": "0.02", "VERGENCE_EDGE__LINK__BACKOFF_CAP_S": "0.05"}


def drill(reconnects: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Break both edges' streams `reconnects` times: once between edge and emulator, once between emulator and center.

    raises  UserError if an edge does not come back
    """
    ports = Ports.free()
    with ExitStack() as held:
        near, far = (held.enter_context(Proxy(port)) for port in (ports.emulator, ports.center))
        extra = {
            **environment(FPS),
            **_QUICK,
            "VERGENCE_EDGE__LINK__ADDRESS": near.address,
            "VERGENCE_EMULATOR__UPSTREAM": far.address,
        }
        stack = held.enter_context(running(ports, say, extra))
        before, took = holdings(stack), []
        for number in range(reconnects + WARM_UP):
            took.append(_break(stack, (near, far)[number % 2]))
            if number + 1 == WARM_UP:
                before, took = holdings(stack), []
            if number % 100 == 0:
                say(f"{number} of {reconnects + WARM_UP} reconnects")
        watcher = PairWatcher(f"{ports.host}:{ports.center}")
        healthy = watcher.wait_for_pair(time.time_ns(), _LIMIT_SECONDS)
        watcher.close()
        time.sleep(2.0)
        grown = growth(before, holdings(stack))
    too_big = [name for name, held_now in grown.items() if held_now.rss > MOST_GROWTH]
    return {
        "reconnects": reconnects,
        "took": sorted(took),
        "pair_after": healthy,
        "growth": {name: dataclasses.asdict(each) for name, each in grown.items()},
        "failed": len(too_big) + (healthy is None),
    }


def _break(stack: Stack, hop: Proxy) -> float:
    """Cut a hop and wait until both edges stand again; seconds. raises UserError"""
    pages = [
        f"http://{stack.ports.host}:{port}/metrics" for port in (stack.ports.left_metrics, stack.ports.right_metrics)
    ]
    before = [metric(page, "vergence_edge_reconnects_total") for page in pages]
    began = time.monotonic()
    hop.cut()
    for page, count in zip(pages, before, strict=True):
        while metric(page, "vergence_edge_reconnects_total") <= count:
            if time.monotonic() - began > _LIMIT_SECONDS:
                raise UserError(f"an edge did not come back within {_LIMIT_SECONDS:.0f} s of a broken connection")
            time.sleep(0.02)
    return time.monotonic() - began


def report(result: dict[str, Any]) -> None:
    """Print the table."""
    took = result["took"]
    print(
        f"\n{result['reconnects']} broken connections: both edges stood again after {took[len(took) // 2]:.2f} s"
        f" (median), {took[-1]:.2f} s at worst; what the processes hold more than after {WARM_UP}:"
    )
    report_growth(result["growth"])
