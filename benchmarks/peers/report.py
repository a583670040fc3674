"""The tables and the chart of a comparison: medians over the rounds of what was measured in turns."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.peers.bench import IN_TURNS, SATURATED, SHARES, Result
from deploy.bench.load.watcher import quantile
from jscc.evaluate.extras import require

_WORTH: Final = 0.97
"""Of the best rate of a peer: a setting that keeps this much may be chosen for its latency."""

Rounds = Sequence[Result]


def median(rounds: Rounds, figure: Callable[[Result], float]) -> float:
    """Of one figure over the rounds; NaN where it is missing."""
    values = [value for each in rounds if math.isfinite(value := figure(each))]
    return statistics.median(values) if values else math.nan


def beyond(rounds: Rounds, share: float = 0.5) -> float:
    """Milliseconds of a pair at a server beyond those of the decoder alone just before or after, a quantile of all."""
    turns = [each[IN_TURNS] for each in rounds]
    over = [a - b for each in turns for a, b in zip(each["ms"], each["bare_ms"], strict=True)]
    return quantile(over, share)


def ratio(rounds: Rounds, load: str, share: str) -> float:
    """The age of a pair at a beat as a multiple of the decoder's alone at that beat. share: "p50_ms" or "p99_ms" """
    return median(rounds, lambda each: each[load][share] / each[load]["bare_ms"])


def of_bare_rate(rounds: Rounds) -> float:
    """Pairs a second at saturation over those of the decoder alone in between."""
    return median(rounds, lambda each: each[SATURATED]["pairs_per_second"] / each[SATURATED]["bare_rate"])


def cpu_beyond(rounds: Rounds, bare_cpu_ms: float) -> float:
    """CPU milliseconds of a pair at 50 % beyond those of the bare decoder: what a busy machine changes least."""
    return median(rounds, lambda each: each["50 %"]["cpu_ms_a_pair"] - bare_cpu_ms)


def lost(rounds: Rounds) -> int:
    """Pairs that brought no pictures, and instants decoded with one view only, in all rounds."""
    failed: int = sum(each[load]["failed"] for each in rounds for load in (*SHARES, SATURATED))
    alone: int = sum(each["alone"] for each in rounds)
    return failed + alone


def table(
    results: Mapping[str, Rounds], titles: Mapping[str, str], left_out: Mapping[str, str], bare_cpu_ms: float
) -> str:
    """Markdown: a row a system, those that add least first.

    bare_cpu_ms  CPU time of a pair in the bare decoder
    """
    every = [each for rounds in results.values() for each in rounds]
    own = median(every, lambda each: statistics.median(each[IN_TURNS]["bare_ms"]))
    beats = [f"age at {load}, of the decoder's: p50 · p99" for load in SHARES]
    heads = [
        "system",
        "beyond the decoder, ms",
        *beats,
        "CPU beyond the decoder, ms",
        "cores at rest",
        "most pairs/s",
        "lost",
    ]
    rows = [
        heads,
        ["---"] * len(heads),
        [f"decoder alone: {own:.0f} ms, {bare_cpu_ms:.0f} ms of CPU", "0", "1", "1", "0", "0", "1", ""],
    ]
    there = {name: rounds for name, rounds in results.items() if rounds}
    for name in sorted(there, key=lambda each: beyond(there[each])):
        rounds = there[name]
        ages = [f"{ratio(rounds, load, 'p50_ms'):.2f} · {ratio(rounds, load, 'p99_ms'):.2f}" for load in SHARES]
        cpu = f"{cpu_beyond(rounds, bare_cpu_ms):.1f}"
        rest, most = median(rounds, lambda each: each["rest_cores"]), of_bare_rate(rounds)
        rows.append(
            [titles[name], f"{beyond(rounds):.1f}", *ages, cpu, f"{rest:.2f}", f"{most:.2f}", f"{lost(rounds)}"]
        )
    rows += [[titles[name], f"left out: {why}", *[""] * (len(heads) - 2)] for name, why in left_out.items()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def too_busy(results: Mapping[str, Rounds], bare_cpu_ms: float, threads: int) -> str:
    """What to say where other work on the machine decided the figures; "" where it did not.

    Alone, a decoder of several threads takes less time on the clock than of the CPU.
    """
    every = [each for rounds in results.values() for each in rounds]
    own = median(every, lambda each: statistics.median(each[IN_TURNS]["bare_ms"]))
    if not own > bare_cpu_ms * (1.0 if threads > 1 else 1.5):
        return ""
    return (
        f"the decoder alone took {own:.0f} ms for {bare_cpu_ms:.0f} ms of CPU: this machine is busy, and times on the"
        " clock say who was served first, not which server is faster; do not keep them"
    )


def best_setting(tried: Mapping[str, Rounds]) -> str:
    """Of a peer's settings, by their words: the one that adds least among those that keep nearly its best
    rate."""
    rates = {setting: of_bare_rate(rounds) for setting, rounds in tried.items() if rounds}
    fast = [setting for setting, rate in rates.items() if rate >= _WORTH * max(rates.values())]
    return min(fast, key=lambda setting: beyond(tried[setting]))


def draw(results: Mapping[str, Rounds], titles: Mapping[str, str], bare_cpu_ms: float, path: Path) -> None:
    """The chart. bare_cpu_ms: as in `table`. raises UserError if matplotlib is not installed"""
    require("matplotlib", "drawing the chart")
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "vergence", "font.size": 9}):
        figure: Any = Figure(figsize=(9.0, 3.2), layout="constrained")
        time, cpu, rate = figure.subplots(1, 3)
        names = sorted((name for name in results if results[name]), key=lambda each: -beyond(results[each]))
        places = range(len(names))
        time.barh(places, [beyond(results[name]) for name in names])
        cpu.barh(places, [cpu_beyond(results[name], bare_cpu_ms) for name in names])
        rate.barh(places, [of_bare_rate(results[name]) for name in names])
        time.set_yticks(places, [titles[name].strip("*").partition(",")[0] for name in names])
        time.set(xlabel="time of a pair beyond the decoder, ms")
        cpu.set(xlabel="CPU of a pair beyond the decoder, ms")
        rate.set(xlabel="most pairs/s, decoder alone = 1", xlim=(0, None))
        for axes in (cpu, rate):
            axes.set_yticks(places, [""] * len(names))
        rate.axvline(1.0, color="grey", linewidth=0.8)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
