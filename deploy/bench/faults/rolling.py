"""Centers that are told to stop and started again, one after the other, under load: is anything lost?

With one center the cameras wait for its return. With two, behind one address, they go to the other one.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deploy.bench.faults.marked import RIGS, alone, environment, missed
from deploy.bench.watch import PairWatcher
from deploy.local.process import ServiceProcess, stop_all
from deploy.local.stack import CONFIG, Ports, Stack, metric
from wire.runtime.errors import UserError
from wire.runtime.grpc_kit import healthy
from wire.views import View

LIMIT_SECONDS: Final = 30.0
PEACE_SECONDS: Final = 2.0
QUIET_SECONDS: Final = 10.0
"""Without a restart, to compare with: a busy machine loses instants by itself."""


@dataclass(frozen=True, slots=True)
class Place:
    """A center, and where it listens."""

    process: ServiceProcess
    address: str


def drill(restarts: int, centers: int, fps: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Restart each of one or two centers `restarts` times; two rigs at `fps`."""
    ports, second = Ports.free(), Ports.free()
    addresses = [f"{ports.host}:{port}" for port in (ports.center, second.center)[:centers]]
    extra = environment(fps)
    if centers > 1:
        both = "ipv4:" + ",".join(addresses)
        extra |= {"VERGENCE_EMULATOR__UPSTREAM": both, "VERGENCE_EDGE__REFERENCE__ADDRESS": both}
    took: list[float] = []
    with ExitStack() as held:
        watchers = [PairWatcher(address) for address in addresses]
        for watcher in watchers:
            held.callback(watcher.close)
        logs = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="vergence-")))
        stack = Stack(ports, logs, extra, more_rigs=RIGS[1:])
        first, *others = stack.processes
        places = [Place(first, addresses[0])]
        if centers > 1:
            where = {**second.environment(), **extra}
            another = ServiceProcess("center-2", "center", CONFIG / "center.yaml", logs / "center-2.log", where)
            places.append(Place(another, addresses[1]))
        held.callback(stop_all, [*(place.process for place in places), *others])
        for place in places:
            place.process.start()
        for place in places:
            _wait_until_ready(place)
        for process in others:
            process.start()
        _wait_for_every_rig(watchers)
        say(f"{centers} centers, two rigs")
        quiet_ns = time.time_ns()
        time.sleep(QUIET_SECONDS)
        began_ns = time.time_ns()
        for number in range(1, restarts + 1):
            for place in places:
                took.append(_restart(place))
                _wait_for_every_rig(watchers)
                time.sleep(PEACE_SECONDS)
            say(f"{number} of {restarts} rounds")
        until_ns = time.time_ns()
        _wait_for_every_rig(watchers)
        unshown = {view: _not_shown(stack, view, watchers) for view in View}
        seen = [sighting for watcher in watchers for sighting in watcher.since(0.0)]
    return {
        "centers": centers,
        "restarts": restarts * centers,
        "fps": fps,
        "took": sorted(took),
        "acknowledged_not_shown": unshown,
        "instants": {rig: round((until_ns - began_ns) * 1e-9 * fps) for rig in RIGS},
        "lost": {rig: missed(seen, rig, fps, began_ns, until_ns) for rig in RIGS},
        "alone": sum(alone(seen, rig, fps, began_ns, until_ns) for rig in RIGS),
        "alone_quiet": sum(alone(seen, rig, fps, quiet_ns, began_ns) for rig in RIGS),
        "instants_quiet": round(2 * QUIET_SECONDS * fps),
        "lost_quiet": sum(missed(seen, rig, fps, quiet_ns, began_ns) for rig in RIGS),
        "failed": sum(unshown.values()),
    }


def _restart(place: Place) -> float:
    """SIGTERM, the end, another start, ready. returns seconds from the signal to the end. raises UserError"""
    seconds = place.process.stop_within(LIMIT_SECONDS)
    place.process.restart()
    _wait_until_ready(place)
    return seconds


def _wait_until_ready(place: Place) -> None:
    until = time.monotonic() + LIMIT_SECONDS
    while not asyncio.run(healthy(place.address, 1.0)):
        if time.monotonic() > until:
            raise UserError("\n".join([f"{place.process.name} is not ready:", *place.process.last_words()]))
        time.sleep(0.1)


def _wait_for_every_rig(watchers: list[PairWatcher]) -> None:
    """Until a new pair of each has come, at whichever center."""
    now, until = time.time_ns(), time.monotonic() + LIMIT_SECONDS
    for rig in RIGS:
        while not any(watcher.wait_for_pair(now, 0.1, rig) for watcher in watchers):
            if time.monotonic() > until:
                raise UserError(f"no pair of {rig} after {LIMIT_SECONDS:.0f} s")


def _not_shown(stack: Stack, view: View, watchers: list[PairWatcher]) -> int:
    """Frames of the demo's edge that were acknowledged as accepted, and shown by no center.

    Both are counted where no frame is between the two: the smallest difference of several looks is exact.
    """
    page = f"http://{stack.ports.host}:{(stack.ports.left_metrics, stack.ports.right_metrics)[view.position]}/metrics"
    looks = []
    for _ in range(20):
        accepted = metric(page, "vergence_edge_frames_total", outcome="accepted")
        time.sleep(0.15)
        of = [each for watcher in watchers for each in watcher.since(0.0) if each.rig == RIGS[0]]
        looks.append(accepted - len({each.sequence[view] for each in of if view in each.sequence}))
        time.sleep(0.03)
    return max(0, round(min(looks)))


def report(result: dict[str, Any]) -> None:
    """Print what was found."""
    took = result["took"]
    print(
        f"\n{result['restarts']} restarts of {result['centers']} center(s): ended {took[len(took) // 2]:.2f} s after"
        f" SIGTERM (median), {took[-1]:.2f} s at worst; frames acknowledged but not shown:"
        f" {sum(result['acknowledged_not_shown'].values())}; instants without a pair:"
        f" {sum(result['lost'].values())} of {sum(result['instants'].values())}"
        f" ({result['lost_quiet']} of {result['instants_quiet']} before the first restart), of these"
        f" {result['alone']} ({result['alone_quiet']}) with one view"
    )
