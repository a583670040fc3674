"""Section 4.2 of the paper, claim by claim, against a table of the bench.

`python -m jscc.evaluate.claims DIR --page PAGE.md` writes the table of a run's DIR between the marks of a page.
Each claim has its criterion here, fixed before the numbers are known.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal

from jscc.evaluate.registry import envelope_of
from jscc.evaluate.rows import Row, Table
from jscc.evaluate.summary import Curve, Mean, means
from jscc.evaluate.system import MS_SSIM
from wire import quality, units
from wire.problem import Problem

Quantity = Literal["psnr", "ms_ssim"]
Gains = Mapping[float, float]
"""By SNR in dB: how much one curve lies above another."""

MARKS: Final = ("<!-- claims -->", "<!-- end of claims -->")
_ALIKE: Final = {"psnr": 0.3, "ms_ssim": 0.005}
"""Largest difference of two views' means that counts as "almost identical"."""
_LOW_DB, _HIGH_DB = 2.0, 8.0
"""The low region is up to, the high one from here on."""
_CLIFF_DB: Final = 4.0
"""A mode that loses more than this between neighbouring SNRs has fallen off a cliff."""


class Missing(Exception):
    """A curve that the claim needs was not measured."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was measured for a claim, and in a word whether it holds."""

    numbers: str
    holds: str


class Curves:
    """The means of a run, by system."""

    def __init__(self, rows: Sequence[Row], trained_for: Mapping[str, str]) -> None:
        self.all: dict[Curve, dict[float, Mean]] = means(rows)
        self._aimed = {name.partition("@")[0]: name for name, aim in trained_for.items() if aim == MS_SSIM}

    def of(self, system: str, channel: str = "awgn", delta: float = 0.0) -> dict[float, Mean]:
        """raises Missing"""
        found = self.all.get((system, channel, delta))
        if not found:
            raise Missing(f"{system} on {channel}")
        return found

    def aimed(self, base: str) -> str:
        """The system of this base that was trained for MS-SSIM; raises Missing"""
        if base not in self._aimed:
            raise Missing(f"{base} trained for MS-SSIM")
        return self._aimed[base]


def gains(above: Mapping[float, Mean], below: Mapping[float, Mean], quantity: Quantity = "psnr") -> Gains:
    """above - below at every SNR that both have; raises Missing if there is none"""
    both = [snr for snr in above if snr in below]
    if not both:
        raise Missing("a common SNR")
    return {snr: getattr(above[snr], quantity) - getattr(below[snr], quantity) for snr in both}


def told(found: Gains, quantity: Quantity = "psnr") -> str:
    """ "+0.41 (12 dB) to +1.20 dB (-2 dB)": the least and the greatest gain, and where."""
    least, most = min(found, key=found.__getitem__), max(found, key=found.__getitem__)
    digits, unit = (2, " dB") if quantity == "psnr" else (4, "")
    return f"{found[least]:+.{digits}f} ({least:g} dB) to {found[most]:+.{digits}f}{unit} ({most:g} dB)"


def verdict(*found: Gains) -> str:
    """Whether all gains are above 0: yes, no, or at which SNRs."""
    good = {snr for snr in found[0] if all(one.get(snr, 1.0) > 0 for one in found)}
    every = {snr for one in found for snr in one}
    if good == every:
        return "yes"
    return f"at {', '.join(f'{snr:g}' for snr in sorted(good))} dB" if good else "no"


def _views(c: Curves) -> Finding:
    parts, alike = [], True
    for quantity, digits in (("psnr", 2), ("ms_ssim", 4)):
        gap = _gap(c, "proposed-1", quantity)
        alike &= gap <= _ALIKE[quantity]
        parts.append(
            f"{gap:.{digits}f} (bpg-capacity on the same pictures: {_gap(c, 'bpg-capacity', quantity):.{digits}f})"
        )
    return Finding(f"largest difference of left and right: PSNR {parts[0]} dB, MS-SSIM {parts[1]}", _yes(alike))


def _gap(c: Curves, system: str, quantity: str) -> float:
    sides = ("left", "right") if quantity == "psnr" else ("left_ms_ssim", "right_ms_ssim")
    return max(abs(float(getattr(mean, sides[0]) - getattr(mean, sides[1]))) for mean in c.of(system).values())


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


def _joint(channel: str) -> Callable[[Curves], Finding]:
    def measure(c: Curves) -> Finding:
        pair = c.of("proposed-1", channel), c.of("baseline", channel)
        psnr, ssim = gains(*pair), gains(*pair, "ms_ssim")
        text = f"proposed-1 - baseline: {told(psnr)}; MS-SSIM {told(ssim, 'ms_ssim')} (both trained for PSNR)"
        return Finding(text, verdict(psnr, ssim))

    return measure


def _ms_ssim(c: Curves) -> Finding:
    name = c.aimed("proposed-1")
    found = {codec: gains(c.of(name), c.of(f"{codec}-capacity"), "ms_ssim") for codec in ("bpg", "jpeg2000")}
    text = "; ".join(f"{name} - {codec}-capacity: {told(gain, 'ms_ssim')}" for codec, gain in found.items())
    return Finding(text, verdict(*found.values()))


def _low(c: Curves) -> Finding:
    found = {
        codec: {
            snr: gain for snr, gain in gains(c.of("proposed-1"), c.of(f"{codec}-capacity")).items() if snr <= _LOW_DB
        }
        for codec in ("bpg", "jpeg2000")
    }
    text = "; ".join(f"proposed-1 - {codec}-capacity: {told(gain)}" for codec, gain in found.items())
    return Finding(f"{text} (up to {_LOW_DB:g} dB)", verdict(*found.values()))


def _high(c: Curves) -> Finding:
    found = gains(c.of("bpg-capacity"), c.of("proposed-1"))
    high = {snr: gain for snr, gain in found.items() if snr >= _HIGH_DB}
    better = [snr for snr, gain in found.items() if gain > 0]
    text = (
        f"bpg-capacity - proposed-1: {told(high)} (from {_HIGH_DB:g} dB); ahead from {min(better, default=99):g} dB on"
    )
    return Finding(text if better else "bpg-capacity is ahead nowhere", verdict(high))


def _cliff(c: Curves) -> Finding:
    modes = {system for system, channel, _ in c.all if envelope_of(system) == "bpg-ldpc" and channel == "awgn"}
    if not modes:
        raise Missing("bpg-ldpc on awgn")
    drops = {mode.removeprefix("bpg-ldpc-"): _fall(c.of(mode)) for mode in sorted(modes)}
    smooth = _fall(c.of("proposed-1"))
    text = ", ".join(f"{mode} {drop:.1f}" for mode, drop in drops.items())
    return Finding(
        f"largest loss between neighbouring SNRs, dB: {text}; proposed-1 {smooth:.1f}",
        _yes(max(drops.values()) > _CLIFF_DB > smooth),
    )


def _fall(points: Mapping[float, Mean]) -> float:
    levels = [points[snr].psnr for snr in sorted(points)]
    return max((after - before for before, after in pairwise(levels)), default=0.0)


def _ldpc(c: Curves) -> Finding:
    found = gains(c.of("proposed-1"), c.of("bpg-ldpc"))
    return Finding(f"proposed-1 - bpg-ldpc, best mode at each SNR: {told(found)}", verdict(found))


def _bound(c: Curves) -> Finding:
    best = c.of("proposed-2", delta=units.NOISELESS)
    found = {delta: gains(best, c.of("proposed-1", delta=delta)) for delta in (0.0, 5.0, 10.0)}
    text = "; ".join(f"delta {delta:g}: {told(gain)}" for delta, gain in found.items())
    return Finding(f"proposed-2 - proposed-1, {text}", verdict(*found.values()))


def _deltas(c: Curves) -> Finding:
    curves = [c.of("proposed-1", delta=delta) for delta in (0.0, 5.0, 10.0)]
    steps = [gains(after, before) for before, after in pairwise(curves)]
    text = "; ".join(f"delta {name}: {told(step)}" for name, step in zip(("0 to 5", "5 to 10"), steps, strict=True))
    return Finding(text, verdict(*steps))


def _rayleigh(c: Curves) -> Finding:
    lost = gains(c.of("proposed-1"), c.of("proposed-1", "rayleigh"))
    steepest = _fall(c.of("proposed-1", "rayleigh"))
    text = f"AWGN - Rayleigh, proposed-1: {told(lost)}; largest loss between neighbouring SNRs {steepest:.1f} dB"
    return Finding(text, _yes(steepest < _CLIFF_DB))


def _absent(c: Curves) -> Finding:
    found = gains(c.of("proposed-absent", delta=units.ABSENT), c.of("baseline"))
    return Finding(f"proposed-absent - baseline: {told(found)}", "no claim")


CLAIMS: Final[tuple[tuple[str, Callable[[Curves], Finding]], ...]] = (
    ("results show that both distributed sources have almost identical PSNR and MS-SSIM throughout the simulation SNR "
     "interval", _views),
    ("there is an apparent performance gain compared to the baseline model", _joint("awgn")),
    ("our scheme outperforms the classical image codec JPEG2000+Capacity and BPG+Capacity scheme in terms of MS-SSIM",
     _ms_ssim),
    ("... or the low SNR region PSNR", _low),
    ("BPG+Capacity shows better PSNR results in the high SNR region", _high),
    ("BPG+LDPC ... suffers from the \"cliff effect\"", _cliff),
    ("... and performs worse than the proposed model in terms of PSNR", _ldpc),
    ("the proposed method II ... shows the upper bound performance of proposed I", _bound),
    ("its performance improves with the quality of side information. It adapts to every delta value in a single model",
     _deltas),
    ("a Rayleigh fast fading channel ... also proves the robustness", _rayleigh),
    ("... and the performance gain of the proposed model", _joint("rayleigh")),
    ("*not in the paper:* what the joint model costs a view whose neighbour never arrives", _absent),
)  # fmt: skip


def table(rows: Sequence[Row], settings: Mapping[str, Any]) -> str:
    """A Markdown table: what the paper says, what was measured, whether it holds."""
    curves = Curves(rows, settings.get("trained_for", {}))
    lines = ["| | the paper (section 4.2) | here | holds |", "|---|---|---|---|"]
    for number, (sentence, measure) in enumerate(CLAIMS, 1):
        try:
            finding = measure(curves)
        except Missing as missing:
            finding = Finding(f"needs {missing}", "not measured")
        lines.append(f"| {number} | {sentence} | {finding.numbers} | {finding.holds} |")
    return "\n".join([*lines, "", *_scenes(settings)]).rstrip() + "\n"


def _scenes(settings: Mapping[str, Any]) -> list[str]:
    """The numbers under each gallery, for Fig. 4."""
    return [
        f"`{name}`: "
        + "; ".join(f"{system} {psnr:.2f} dB / {ssim:.4f}" for system, (psnr, ssim) in found.items())
        + "."
        for name, found in settings.get("galleries", {}).items()
    ]


def page(rows: Sequence[Row], settings: Mapping[str, Any]) -> str:
    """The table as a page of its own."""
    count = len({row.picture for row in rows})
    return f"# Claims of the paper\n\n{count} pairs. {quality.MS_SSIM_DEFINITION}.\n\n{table(rows, settings)}"


def fill(path: Path, text: str) -> None:
    """Put text between the marks of a page; raises Problem if it has none"""
    whole = path.read_text(encoding="utf-8")
    before, begin, rest = whole.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not begin or not end:
        raise Problem(f"{path} has no place for the claims; put {MARKS[0]} and {MARKS[1]} where they belong")
    path.write_text(f"{before}{begin}\n{text}{end}{after}", encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 for what the user can mend."""
    parser = argparse.ArgumentParser(
        "python -m jscc.evaluate.claims", description="Fill a page with the claims' numbers."
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="with results.csv and settings.json of a run")
    parser.add_argument("--page", type=Path, required=True, help="a Markdown page with the marks")
    arguments = parser.parse_args(argv)
    try:
        settings = arguments.folder / "settings.json"
        if not settings.exists() or not arguments.page.exists():
            raise Problem(f"there is no {arguments.page if settings.exists() else settings}")
        rows = Table(arguments.folder / "results.csv").read()
        fill(arguments.page, table(rows, json.loads(settings.read_text())))
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
