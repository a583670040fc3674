"""A client that floods the center with HTTP/2 frames, one kind after the other: what do the rigs beside it lose?"""

import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, Final

from deploy.bench.faults import http2
from deploy.bench.faults.marked import RIGS, Witness, alone, environment, missed
from deploy.bench.live import percentile
from deploy.bench.watch import PairWatcher
from deploy.local.stack import Ports, running

TRANSMIT: Final = "/vergence.v1.SymbolLinkService/Transmit"

FLOODS: Final[dict[str, tuple[Callable[[], Iterator[bytes]], str]]] = {
    "PING": (http2.pings, ""),
    "PING beside a call": (http2.pings, TRANSMIT),
    "PING acknowledged": (http2.ping_acks, ""),
    "SETTINGS": (http2.settings, ""),
    "WINDOW_UPDATE": (http2.window_updates, ""),
    "HEADERS + RST_STREAM": (http2.resets(TRANSMIT), ""),
    "HEADERS + RST_STREAM, no such call": (http2.resets("/no.such/Call"), ""),
    "HEADERS + CONTINUATION": (http2.continuations, ""),
    "unknown frames": (http2.unknown, ""),
    "DATA of no bytes": (http2.empty_data, TRANSMIT),
}
"""Frames without end, and the call that is opened before."""

ENDED: Final = ("PING", "PING beside a call", "DATA of no bytes")
"""Of which gRPC reads no more after a moment."""

SETTLE_SECONDS: Final = 2.0
"""Between two floods, for what the last one left in the sockets."""


def drill(seconds: float, fps: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Two rigs at `fps`; each flood for `seconds`, and as long without one. The flood has a process of its own."""
    witness, rows = Witness(fps), []
    spawn = multiprocessing.get_context("spawn")
    with (
        running(Ports.free(), say, environment(fps), more_rigs=RIGS[1:]) as stack,
        ProcessPoolExecutor(1, mp_context=spawn) as flooder,
    ):
        watcher = PairWatcher(f"{stack.ports.host}:{stack.ports.center}", witness.look)
        try:
            for name in ("none", *FLOODS):
                time.sleep(SETTLE_SECONDS)
                rows.append(_row(name, stack.ports.center, seconds, fps, watcher, flooder))
                say(f"{name}: {rows[-1]['pairs_per_second']:.1f} pairs/s")
            died = [process.name for process in stack.processes if process.exit_code() is not None]
        finally:
            watcher.close()
    return {
        "seconds": seconds,
        "fps": fps,
        "rows": rows,
        "pictures": witness.shown,
        "wrong": witness.wrong,
        "died": died,
        "failed": len(witness.wrong) + len(died),
    }


def flood(name: str, port: int, seconds: float) -> http2.End:
    """One flood of FLOODS, in whatever process this is called."""
    frames, path = FLOODS[name]
    return http2.flood(port, frames, seconds, path)


def _row(
    name: str, port: int, seconds: float, fps: float, watcher: PairWatcher, flooder: ProcessPoolExecutor
) -> dict[str, Any]:
    began, from_ns = time.monotonic(), time.time_ns()
    flooding: Future[http2.End] | None = None
    if name != "none":
        flooding = flooder.submit(flood, name, port, seconds)
    time.sleep(seconds)
    until, to_ns = time.monotonic(), time.time_ns()
    end = flooding.result() if flooding is not None else None
    watcher.wait_for_pair(to_ns, 10.0)
    seen = watcher.since(began)
    ages = [each.age for each in seen if not each.psnr_db and each.at < until]
    lost = sum(missed(seen, rig, fps, from_ns, to_ns) for rig in RIGS)
    instants = round(len(RIGS) * seconds * fps)
    return {
        "flood": name,
        "sent": end.sent if end is not None else 0,
        "closed_after": end.seconds if end is not None and end.closed else None,
        "instants": instants,
        "lost": lost,
        "alone": sum(alone(seen, rig, fps, from_ns, to_ns) for rig in RIGS),
        "pairs_per_second": (instants - lost) / seconds,
        "age_p50": statistics.median(ages) if ages else None,
        "age_p99": percentile(ages, 0.99) if ages else None,
    }


def report(result: dict[str, Any]) -> None:
    """Print the table."""
    print("\n| flood | sent | pairs/s | instants lost | of them decoded alone | age, median | 99 % |")
    print("|---|---|---|---|---|---|---|")
    for row in result["rows"]:
        ages = " | ".join("" if row[name] is None else f"{row[name] * 1e3:.0f} ms" for name in ("age_p50", "age_p99"))
        closed = "" if row["closed_after"] is None else f", closed after {row['closed_after']:.1f} s"
        print(
            f"| {row['flood']} | {row['sent'] / 2**20:.0f} MB{closed} | {row['pairs_per_second']:.1f}"
            f" | {row['lost']} of {row['instants']} | {row['alone']} | {ages} |"
        )
    print(
        f"\n{len(RIGS)} rigs at {result['fps']:g} pairs/s, each flood for {result['seconds']:g} s by one connection;"
        f" {result['pictures']} pictures and originals checked, {len(result['wrong'])} wrong"
        + (f"; died: {', '.join(result['died'])}" if result["died"] else "")
    )
