"""The tables of docs/scaling.md: `python -m benchmarks.scaling [--write]`."""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.scaling.model import HEADROOM, MEASURED, Costs, Tiers, bytes_a_pair, cores, plan, saturates
from benchmarks.scaling.simulate import RING, Outcome, center, spread, whole
from deploy.observe import marks

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "scaling.md"
BEGIN, END = "<!-- made by `python -m benchmarks.scaling --write`; do not edit -->\n", "<!-- end -->\n"
RATE: Final = 10.0
"""Pairs a second of a rig."""

LARGE_RING: Final = 1 << 18
SIZES: Final = (100, 1_000, 10_000, 100_000)
HELD: Final = 0.99
"""The share of pairs that must be shown for a tier to count as whole."""

Rows = Iterator[Sequence[str]]


def table(heads: Sequence[str], rows: Rows) -> str:
    """Markdown."""
    lines = ["| " + " | ".join(cells) + " |" for cells in (heads, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(heads), *lines[1:]])


def cost_rows(costs: Costs) -> Rows:
    """A tier a row: what a picture or pair costs, what 1,000 rigs need, where one process or core is full."""
    busy, full = cores(costs, 1_000 * RATE), saturates(costs)
    watchers = cores(costs, 1_000 * RATE, watched=1.0)["front"] - busy["front"]
    told = [
        ("edge: encode a picture · send it", (costs.encode, costs.uplink), busy["edge"], None),
        ("emulator: a frame over AWGN", (costs.emulator,), busy["emulator"], full["emulator (a process)"]),
        ("center: a pair, without decoder and watchers", (costs.front,), busy["front"], full["front (a process)"]),
        ("more for each program that watches it", (costs.watcher,), watchers, None),
        ("decoder on a CPU: a pair on one core", (costs.engine,), busy["engine"], full["engine (a core)"]),
    ]
    for tier, seconds, need, rate in told:
        each = " · ".join(f"{of * 1e3:.2f}" for of in seconds)
        yield tier, each, f"{need:,.0f}", "" if rate is None else f"{rate:,.0f}"
    yield "decoder on a GPU", "not measured", "", ""


def grow_rows(costs: Costs, tiers: Tiers, sizes: Sequence[int]) -> Rows:
    """One center, more and more rigs."""
    for rigs in sizes:
        outcome = center(costs, rigs, tiers, RATE)
        shown = outcome.shown / outcome.offered
        expected = min(1.0, capacity(costs, tiers) / (rigs * RATE))
        busy = " · ".join(f"{outcome.busy[tier]:.0%}" for tier in ("emulator", "front", "engine"))
        yield f"{rigs:,}", f"{shown:.1%}", f"{expected:.1%}", _ages(outcome), busy, breaks(outcome)


def capacity(costs: Costs, tiers: Tiers) -> float:
    """Pairs a second of one center, by the model."""
    full = saturates(costs)
    return min(
        tiers.engines * full["engine (a core)"],
        full["front (a process)"],
        tiers.emulators * full["emulator (a process)"],
    )


def breaks(outcome: Outcome) -> str:
    """The tier that is full where pairs are lost."""
    if outcome.shown >= HELD * outcome.offered:
        return ""
    return max(outcome.busy, key=lambda tier: outcome.busy[tier])


def plan_rows(costs: Costs) -> Rows:
    """As many centers as the model says, spread by the ring, and evenly."""
    for rigs in SIZES:
        planned = plan(costs, rigs, RATE)
        ringed, even = whole(costs, planned), whole(costs, planned, even=True)
        each = planned.each
        yield (
            f"{rigs:,}",
            f"{planned.centers:,} · {planned.centers * each.emulators:,} · {planned.centers * each.engines:,}",
            f"{ringed.fullest:.2f} · {max(spread(rigs, planned.centers, LARGE_RING)) / planned.rigs_each:.2f}",
            f"{ringed.shown:.1%}",
            f"{ringed.p50 * 1e3:.0f} · {ringed.p99 * 1e3:.0f}",
            f"{even.shown:.1%}",
            f"{rigs * RATE * bytes_a_pair()['in'] / 1.25e8:,.1f}",
        )


def page() -> str:
    """Everything between the marks."""
    told = json.loads(MEASURED.read_text())
    exact, fast = Costs.read(kind="onnxruntime"), Costs.read()
    one, many = Tiers(1, 2), Tiers(4, 64)
    grow = ("rigs", "shown", "by the model", "age p50 · p99, ms", "busy: emulator · front · decoder", "what is full")
    parts = [
        f"Measured {told['when']} on {told['machine']}; CPU time of one core. Decoder: `onnxruntime-i8`;"
        f" with `onnxruntime` {exact.engine * 1e3:.1f} ms.",
        table(("tier", "CPU ms", "cores for 1,000 rigs", "full at, pairs/s"), cost_rows(fast)),
        f"One center with {one.engines} cores that decode and one emulator:",
        table(grow, grow_rows(fast, one, (1, 2, 4, 6, 8, 12, 16))),
        f"One center with {many.engines} cores that decode, in Ray replicas say, and {many.emulators} emulators:",
        table(grow, grow_rows(fast, many, (8, 16, 24, 32, 48, 64))),
        f"As many centers as the model asks for at {HEADROOM:.0%}; a ring of {RING:,} points, and for comparison of"
        f" {LARGE_RING:,}:",
        table(
            (
                "rigs",
                "centers · emulators · decoding cores",
                "fullest center, of the mean, with few · many points",
                "shown",
                "age p50 · p99, ms",
                "shown if spread evenly",
                "symbols into the centers, Gbit/s",
            ),
            plan_rows(fast),
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _ages(outcome: Outcome) -> str:
    ages = sorted(outcome.ages)
    at = [ages[min(len(ages) - 1, int(share * len(ages)))] * 1e3 for share in (0.5, 0.99)] if ages else []
    return " · ".join(f"{age:.0f}" for age in at)


def main(words: list[str] | None = None) -> None:
    """Print the tables. words: of the command line; None takes this process's"""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put them into docs/scaling.md")
    made = page()
    if parser.parse_args(words).write:
        marks.write(PAGE, marks.between(PAGE.read_text(encoding="utf-8"), BEGIN, END, made))
    else:
        print(made, end="")


if __name__ == "__main__":
    main()
