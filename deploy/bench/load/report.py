"""What is told of a load test: lines for each run, and a chart of where a pair's time goes and how old pairs become."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deploy.bench.load.bare import BareEngine
from deploy.bench.load.watcher import quantile
from jscc.evaluate.extras import require


def report(result: dict[str, Any], bare: BareEngine) -> None:
    """Print one run."""
    offered = result["rigs"] * result["rate"]
    print(
        f"{_rigs(result)} x {result['rate']:g} pairs/s of {result['size']} = {offered:g} offered over"
        f" {result['seconds']:g} s"
    )
    print(
        f"  out: {result['pairs_per_second']:.2f} pairs/s over {result['came_out_over_s']:.1f} s"
        f" ({result['seen_paired']} of {result['paired']:.0f} paired seen, {result['single']:.0f} alone,"
        f" {result['late']:.0f} frames late), held back {result['held_back']}, drops {result['drops']}"
    )
    bare_ms = bare.seconds[1] * 1e3
    age = result["age_ms"]
    print(f"  capture to watcher, ms: p50 {age['p50']:.1f}  p95 {age['p95']:.1f}  p99 {age['p99']:.1f}")
    print(
        f"  decoder alone ({bare.name}): {bare_ms:.1f} ms a pair, best {bare.pairs_per_second:.1f} pairs/s;"
        f" {result['pairs_per_second'] / bare.pairs_per_second:.2f} of its rate"
    )
    if bare.at_beat:
        own = {share: quantile(list(bare.at_beat), at) * 1e3 for share, at in (("p50", 0.5), ("p99", 0.99))}
        beyond = "  ".join(f"{share} {age[share] - ms:.1f}" for share, ms in own.items())
        print(f"  decoder alone at this beat, ms: p50 {own['p50']:.1f}  p99 {own['p99']:.1f}; beyond it {beyond}")
    if result["engine"] != bare.name:
        print(f"  but the center decoded with {result['engine']}: these two cannot be compared")
    stages = "  ".join(
        f"{name} {each['p50']:.1f}/{each['p99']:.1f}"
        for name, each in result["stages_ms"].items()
        if math.isfinite(each["p50"])
    )
    print(f"  stages p50/p99, ms: {stages}")
    used = result["center"]
    per_pair = used["cpu_ms_per_pair"] or float("nan")
    print(
        f"  center: {per_pair:.1f} ms CPU a pair, {used['rss'] / 2**20:.0f} MB, {used['files']} files,"
        f" {used['threads']} threads; cameras {result['cameras_cpu_seconds']:.1f} s CPU;"
        f" wire {result['wire_bytes_over_symbols']:.3f} x the symbols\n"
    )


def draw(results: Sequence[dict[str, Any]], bare_ms: float, path: Path) -> None:
    """Draw runs of one load.

    results  of `command.measure`; the stages are those of the run that came last
    bare_ms  time of a pair in the decoder alone, which was measured in the same run
    path     of the file; its ending is the format: .svg, .png and whatever else matplotlib draws
    raises   UserError if matplotlib is not installed; OSError if the file cannot be written
    """
    figure = require("matplotlib.figure", "drawing the chart").Figure(figsize=(9.0, 3.2), layout="constrained")
    stages, ages = figure.subplots(1, 2)
    last = results[-1]
    told = {name: each for name, each in last["stages_ms"].items() if math.isfinite(each["p50"])}
    for share, colour in (("p99", "lightgrey"), ("p95", "darkgrey"), ("p50", "C0")):  # the longest behind
        stages.barh(list(told), [each[share] for each in told.values()], color=colour, label=share)
    stages.invert_yaxis()
    stages.set(xlabel=f"ms in a stage, {_rigs(last)} x {last['rate']:g} pairs/s", xlim=(0, None))
    stages.legend(fontsize="small")
    runs = sorted(results, key=lambda each: float(each["rate"]))
    offered = [each["rigs"] * each["rate"] for each in runs]
    for share in ("p50", "p95", "p99"):
        ages.plot(offered, [each["age_ms"][share] for each in runs], "o-", label=share)
    ages.axhline(bare_ms, color="grey", linewidth=0.8, label="decoder alone")
    ages.set(xlabel="pairs/s offered", ylabel="capture to watcher, ms", ylim=(0, None))
    ages.legend(fontsize="small")
    figure.savefig(path)


def _rigs(result: dict[str, Any]) -> str:
    return "1 rig" if result["rigs"] == 1 else f"{result['rigs']} rigs"
