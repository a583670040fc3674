"""A long run at a steady load: do memory, open files, threads or delays grow?"""

import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from deploy.bench.faults.marked import RIGS, Witness, environment, missed
from deploy.bench.faults.usage import Cores, Slope, holdings
from deploy.bench.live import percentile
from deploy.bench.watch import PairWatcher
from deploy.local.stack import Ports, running
from jscc.evaluate.extras import require

SAMPLE_SECONDS: Final = 5.0
LEAST_MINUTES: Final = 8.0
"""Shorter, and half minutes are too few for a slope of the age."""
SETTLE: Final = 0.2
"""The share of the run that is left out of the slopes: caches fill."""

MOST: Final = {"rss": 12 * 2**20, "files": 2.0, "threads": 1.0}
"""By which a process may grow an hour: a slope counts once its whole 95 % interval lies above. An allocator of many
threads wanders by some MB by itself."""
MOST_P99: Final = 0.1
"""Seconds an hour, the same for the 99th percentile of the pictures' age."""


def drill(minutes: float, fps: float, say: Callable[[str], None], chart: Path | None) -> dict[str, Any]:
    """Two rigs at `fps` for `minutes`; every picture that the witness gets is checked against its mark.

    Which instants came is told by a watcher without pictures: the center gives each watcher the newest pair only,
    and who looks at every picture misses some at such a rate.
    """
    witness = Witness(fps)
    samples: dict[str, list[dict[str, int]]] = {}
    times: list[float] = []
    with running(Ports.free(), say, environment(fps), more_rigs=RIGS[1:]) as stack:
        center = f"{stack.ports.host}:{stack.ports.center}"
        watcher, counter = PairWatcher(center, witness.look), PairWatcher(center)
        try:
            time.sleep(SAMPLE_SECONDS)
            began, began_ns, cores = time.monotonic(), time.time_ns(), Cores.now()
            while (now := time.monotonic() - began) < minutes * 60:
                times.append(now)
                for name, held in holdings(stack).items():
                    samples.setdefault(name, []).append(dataclasses.asdict(held))
                if len(times) % 60 == 0:
                    say(f"{now / 60:.0f} of {minutes:g} minutes, {witness.shown} pictures")
                time.sleep(max(0.0, began + len(times) * SAMPLE_SECONDS - time.monotonic()))
            until_ns, busy = time.time_ns(), Cores.now().busy_since(cores)
            for rig in RIGS:
                counter.wait_for_pair(until_ns, 10.0, rig)
            seen, came = watcher.since(began), counter.since(began)
            died = [process.name for process in stack.processes if process.exit_code() is not None]
        finally:
            watcher.close()
            counter.close()
    ages: dict[str, list[float]] = {"at": [], "p50": [], "p99": []}
    fresh = [(each.at - began, each.age) for each in seen if not each.psnr_db]
    for start in range(0, int(minutes * 60), 30):
        of = [age for at, age in fresh if start <= at < start + 30]
        if of:
            ages["at"].append(start + 15.0)
            ages["p50"].append(statistics.median(of))
            ages["p99"].append(percentile(of, 0.99))
    slopes = _slopes(times, samples, ages)
    result: dict[str, Any] = {
        "minutes": minutes,
        "fps": fps,
        "busy": busy,
        "times": times,
        "samples": samples,
        "ages": ages,
        "slopes": {name: {what: dataclasses.asdict(each) for what, each in of.items()} for name, of in slopes.items()},
        "instants": round(2 * minutes * 60 * fps),
        "lost": sum(missed(came, rig, fps, began_ns, until_ns) for rig in RIGS),
        "not_looked_at": sum(missed(seen, rig, fps, began_ns, until_ns) for rig in RIGS),
        "pictures": witness.shown,
        "unreadable": witness.unreadable,
        "wrong": witness.wrong,
        "growing": [
            f"{name}: {what}" for name, of in slopes.items() for what, each in of.items() if _grows(what, each)
        ],
        "died": died,
    }
    result["failed"] = len(result["growing"]) + len(witness.wrong) + len(died)
    if chart is not None:
        draw(result, chart)
    return result


def _slopes(
    times: Sequence[float], samples: dict[str, list[dict[str, int]]], ages: dict[str, list[float]]
) -> dict[str, dict[str, Slope]]:
    first = int(SETTLE * len(times))
    slopes = {
        name: {what: Slope.through(times[first:], [each[what] for each in of[first:]]) for what in MOST}
        for name, of in samples.items()
    }
    first = int(SETTLE * len(ages["at"]))
    slopes["watcher"] = {"p99": Slope.through(ages["at"][first:], ages["p99"][first:])}
    return slopes


def _grows(what: str, slope: Slope) -> bool:
    return slope.per_hour - slope.uncertain > (MOST_P99 if what == "p99" else MOST[what])


def report(result: dict[str, Any]) -> None:
    """Print the tables."""
    print("\n| process | memory at last | memory an hour | files an hour | threads an hour |")
    print("|---|---|---|---|---|")
    for name, of in result["slopes"].items():
        if name != "watcher":
            told = [f"{of['rss']['per_hour'] / 2**20:+.1f} ± {of['rss']['uncertain'] / 2**20:.1f} MB"]
            told += [f"{of[what]['per_hour']:+.2f} ± {of[what]['uncertain']:.2f}" for what in ("files", "threads")]
            print(f"| {name} | {result['samples'][name][-1]['rss'] / 2**20:.0f} MB | " + " | ".join(told) + " |")
    late, ages = result["slopes"]["watcher"]["p99"], result["ages"]
    slope = f"{late['per_hour'] * 1e3:+.0f} ± {late['uncertain'] * 1e3:.0f}"
    p50, p99 = (statistics.median(ages[share]) * 1e3 for share in ("p50", "p99"))
    print(
        f"\n{result['minutes']:g} minutes, two rigs at {result['fps']:g}/s, all cores {result['busy']:.0%} busy:"
        f" {result['lost']} of {result['instants']} instants lost; age p50 {p50:.0f} ms, p99 {p99:.0f} ms"
        f" ({slope} ms an hour); {result['pictures']} pictures checked (no pair of"
        f" {result['not_looked_at']} instants), {len(result['wrong'])} wrong, {result['unreadable']} unreadable;"
        f" growing for certain: {', '.join(result['growing']) or 'nothing'}"
    )


def draw(result: dict[str, Any], path: Path) -> None:
    """The chart. raises UserError if matplotlib is not installed"""
    figure = require("matplotlib.figure", "drawing the chart").Figure(figsize=(9.0, 9.0), layout="constrained")
    memory, held, ages = figure.subplots(3, 1, sharex=True)
    minutes = [each / 60 for each in result["times"]]
    for name, samples in result["samples"].items():
        memory.plot(minutes, [each["rss"] / 2**20 for each in samples], label=name)
        held.plot(minutes, [each["files"] for each in samples], label=f"{name}, files")
        held.plot(minutes, [each["threads"] for each in samples], linestyle=":", color=held.lines[-1].get_color())
    for share in ("p99", "p50"):
        ages.plot([at / 60 for at in result["ages"]["at"]], [age * 1e3 for age in result["ages"][share]], label=share)
    memory.set(ylabel="resident memory, MB", title=f"two rigs at {result['fps']:g} pairs/s each, all on one machine")
    held.set(ylabel="open files (solid), threads (dotted)")
    ages.set(ylabel="age when shown, ms (30 s each)", xlabel="minutes", ylim=(0, None))
    memory.set(ylim=(0, None))
    memory.legend(fontsize="small", ncols=3, loc="lower right")  # below every line
    ages.legend(fontsize="small")
    figure.savefig(path)
