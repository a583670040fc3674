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


def beyond(rounds: Rounds, load: str, share: str) -> float:
    """Milliseconds of a pair beyond one call of the bare decoder, of the same turn. share: "p50_ms" or "p99_ms" """
    return median(rounds, lambda each: each["loads"][load][share] - each["bare_ms"])


def of_bare_rate(rounds: Rounds) -> float:
    """Pairs a second at saturation over what the bare decoder could just before."""
    return median(rounds, lambda each: each["loads"][SATURATED]["pairs_per_second"] / each["bare_rate"])


def lost(rounds: Rounds) -> int:
    """Pairs that brought no pictures at the beat, and instants decoded alone there, in all rounds."""
    return sum(each["loads"][load][of] for each in rounds for load in SHARES for of in ("failed", "alone"))


def table(results: Mapping[str, Rounds], titles: Mapping[str, str], left_out: Mapping[str, str]) -> str:
    """Markdown: a row a system, those with the highest rate first, the bare decoder above all."""
    every = [each for rounds in results.values() for each in rounds]
    heads = [f"{load}: p50 / p99, ms beyond the decoder" for load in SHARES]
    lines = [
        f"| system | {' | '.join(heads)} | most pairs/s, of the decoder's | lost |",
        "|---" * (len(heads) + 3) + "|",
        f"| decoder alone: {median(every, lambda each: each['bare_ms']):.1f} ms"
        + " | 0" * len(heads)
        + f" | 1 ({median(every, lambda each: each['bare_rate']):.1f}) | |",
    ]
    there = {name: rounds for name, rounds in results.items() if rounds}
    for name in sorted(there, key=lambda each: -of_bare_rate(there[each])):
        rounds = there[name]
        ages = [f"{beyond(rounds, load, 'p50_ms'):.1f} / {beyond(rounds, load, 'p99_ms'):.1f}" for load in SHARES]
        lines.append(f"| {titles[name]} | {' | '.join(ages)} | {of_bare_rate(rounds):.2f} | {lost(rounds)} |")
    lines += [f"| {titles[name]} | left out: {why} |" + " |" * (len(heads) + 1) for name, why in left_out.items()]
    return "\n".join(lines)


def best_setting(tried: Mapping[str, Rounds]) -> str:
    """Of a peer's settings, by their words: the one with the lowest p50 at 50 % among those that keep nearly its best
    rate."""
    rates = {setting: of_bare_rate(rounds) for setting, rounds in tried.items() if rounds}
    fast = [setting for setting, rate in rates.items() if rate >= _WORTH * max(rates.values())]
    return min(fast, key=lambda setting: beyond(tried[setting], "50 %", "p50_ms"))


def draw(results: Mapping[str, Rounds], titles: Mapping[str, str], path: Path) -> None:
    """The chart. raises UserError if matplotlib is not installed"""
    require("matplotlib", "drawing the chart")
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "vergence", "font.size": 9}):
        figure: Any = Figure(figsize=(9.0, 3.2), layout="constrained")
        overhead, rate = figure.subplots(1, 2)
        names = sorted((name for name in results if results[name]), key=lambda each: of_bare_rate(results[each]))
        for share, colour in (("p99_ms", "#9ecae1"), ("p50_ms", "#3182bd")):
            values = [beyond(results[name], "50 %", share) for name in names]
            overhead.barh(range(len(names)), values, color=colour, label=share.removesuffix("_ms"))
        rate.barh(range(len(names)), [of_bare_rate(results[name]) for name in names], color="#3182bd")
        labels = [titles[name].strip("*") for name in names]
        overhead.set_yticks(range(len(names)), labels)
        rate.set_yticks(range(len(names)), [])
        overhead.set(xlabel="ms beyond the decoder, at 50 % of its rate")
        rate.set(xlabel="most pairs/s, of the decoder's own rate", xlim=(0, 1.1))
        overhead.legend(fontsize="small")
        rate.axvline(1.0, color="grey", linewidth=0.8)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
