"""The tables and the chart of a comparison: medians over the rounds of what was measured in turns."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.peers.bench import SATURATED, SHARES, Result
from jscc.evaluate.extras import require

_WORTH: Final = 0.97
"""Of the best rate of a peer: a setting that keeps this much may be chosen for its latency."""

Rounds = Sequence[Result]


def median(rounds: Rounds, figure: Callable[[Result], float]) -> float:
    """Of one figure over the rounds; NaN where it is missing."""
    values = [value for each in rounds if math.isfinite(value := figure(each))]
    return statistics.median(values) if values else math.nan


def ratio(rounds: Rounds, load: str, share: str) -> float:
    """The age of a pair as a multiple of one call of the bare decoder meanwhile. share: "p50_ms" or "p99_ms" """
    return median(rounds, lambda each: each[load][share] / each[load]["bare_ms"])


def of_bare_rate(rounds: Rounds) -> float:
    """Pairs a second at saturation over what the bare decoder could just before."""
    return median(rounds, lambda each: each[SATURATED]["pairs_per_second"] / each[SATURATED]["bare_rate"])


def cpu_beyond(rounds: Rounds, bare_cpu_ms: float) -> float:
    """CPU milliseconds of a pair at 50 % beyond those of the bare decoder: what a busy machine changes least."""
    return median(rounds, lambda each: each["50 %"]["cpu_ms_a_pair"] - bare_cpu_ms)


def lost(rounds: Rounds) -> int:
    """Pairs that brought no pictures at the beat, and instants decoded alone there, in all rounds."""
    return sum(each[load][of] for each in rounds for load in SHARES for of in ("failed", "alone"))


def table(
    results: Mapping[str, Rounds], titles: Mapping[str, str], left_out: Mapping[str, str], bare_cpu_ms: float
) -> str:
    """Markdown: a row a system, those that need least CPU first; ages and rates in those of the bare decoder.

    bare_cpu_ms  CPU time of a pair in the bare decoder
    """
    every = [each for rounds in results.values() for each in rounds]
    heads = [f"at {load}: p50 · p99" for load in SHARES]
    lines = [
        f"| system | {' | '.join(heads)} | CPU of a pair beyond the decoder, ms | most pairs/s | lost |",
        "|---" * (len(heads) + 4) + "|",
        f"| decoder alone ({median(every, lambda each: each[SATURATED]['bare_ms']):.0f} ms)"
        + " | 1" * len(heads)
        + f" | 0 ({bare_cpu_ms:.0f}) | 1 ({median(every, lambda each: each[SATURATED]['bare_rate']):.1f}/s) | |",
    ]
    there = {name: rounds for name, rounds in results.items() if rounds}
    for name in sorted(there, key=lambda each: cpu_beyond(there[each], bare_cpu_ms)):
        rounds = there[name]
        ages = [f"{ratio(rounds, load, 'p50_ms'):.2f} · {ratio(rounds, load, 'p99_ms'):.2f}" for load in SHARES]
        over = f"{cpu_beyond(rounds, bare_cpu_ms):.1f}"
        lines.append(f"| {titles[name]} | {' | '.join(ages)} | {over} | {of_bare_rate(rounds):.2f} | {lost(rounds)} |")
    lines += [f"| {titles[name]} | left out: {why} |" + " |" * (len(heads) + 2) for name, why in left_out.items()]
    return "\n".join(lines)


def best_setting(tried: Mapping[str, Rounds]) -> str:
    """Of a peer's settings, by their words: the one with the lowest p50 at 50 % among those that keep nearly its best
    rate."""
    rates = {setting: of_bare_rate(rounds) for setting, rounds in tried.items() if rounds}
    fast = [setting for setting, rate in rates.items() if rate >= _WORTH * max(rates.values())]
    return min(fast, key=lambda setting: ratio(tried[setting], "50 %", "p50_ms"))


def draw(results: Mapping[str, Rounds], titles: Mapping[str, str], bare_cpu_ms: float, path: Path) -> None:
    """The chart. bare_cpu_ms: as in `table`. raises UserError if matplotlib is not installed"""
    require("matplotlib", "drawing the chart")
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "vergence", "font.size": 9}):
        figure: Any = Figure(figsize=(9.0, 3.2), layout="constrained")
        ages, cpu, rate = figure.subplots(1, 3)
        there = [name for name in results if results[name]]
        names = sorted(there, key=lambda each: -cpu_beyond(results[each], bare_cpu_ms))
        places = range(len(names))
        for share, colour in (("p99_ms", "#9ecae1"), ("p50_ms", "#3182bd")):
            values = [ratio(results[name], "50 %", share) for name in names]
            ages.barh(places, values, color=colour, label=share.removesuffix("_ms"))
        cpu.barh(places, [cpu_beyond(results[name], bare_cpu_ms) for name in names], color="#3182bd")
        rate.barh(places, [of_bare_rate(results[name]) for name in names], color="#3182bd")
        ages.set_yticks(places, [titles[name].strip("*").partition(",")[0] for name in names])
        ages.set(xlabel="age of a pair at 50 %, decoder = 1", xlim=(0, None))
        cpu.set(xlabel="CPU of a pair beyond the decoder, ms")
        rate.set(xlabel="most pairs/s, decoder = 1", xlim=(0, None))
        for axes in (cpu, rate):
            axes.set_yticks(places, [""] * len(names))
        for axes in (ages, rate):
            axes.axvline(1.0, color="grey", linewidth=0.8)
        ages.legend(fontsize="small")
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
