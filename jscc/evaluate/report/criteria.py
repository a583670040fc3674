"""The criteria of section 4.2's claims, fixed before any number of a network on the test pictures was seen."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from jscc.evaluate.report.gains import Curves, Gain, Gains, Line, Missing, ahead, gains, listed, told, verdict, within
from jscc.evaluate.systems.registry import SIDE_INFORMATION, envelope_of
from wire import units

_ALIKE: Final = {"psnr": 0.3, "ms_ssim": 0.005}
"""Largest difference of two views' means that counts as "almost identical"."""
_LOW_DB, _HIGH_DB = 2.0, 8.0
"""The low region is up to, the high one from here on."""
_CLIFF_DB: Final = 4.0
"""A mode that loses more than this between SNRs at most `_NEAR_DB` apart has fallen off a cliff."""
_NEAR_DB: Final = 2.0
_ROBUST_DB: Final = 1.0
"""A robust system loses at most this to fading. Fading takes 12 to 17% of the capacity, which alone is worth 0.4 to 0.8
dB to ideal codes."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was measured for a claim, and in a word whether it holds."""

    numbers: str
    holds: str


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
    return max(abs(float(getattr(mean, sides[0]) - getattr(mean, sides[1]))) for mean in c.of(system).means.values())


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
    region = f"up to {_LOW_DB:g} dB"
    found = {
        codec: within(gains(c.of("proposed-1"), c.of(f"{codec}-capacity")), lambda snr: snr <= _LOW_DB, region)
        for codec in ("bpg", "jpeg2000")
    }
    text = "; ".join(f"proposed-1 - {codec}-capacity: {told(gain)}" for codec, gain in found.items())
    return Finding(f"{text} ({region})", verdict(*found.values()))


def _high(c: Curves) -> Finding:
    region = f"from {_HIGH_DB:g} dB on"
    found = gains(c.of("bpg-capacity"), c.of("proposed-1"))
    high = within(found, lambda snr: snr >= _HIGH_DB, region)
    better = ahead(found)
    text = (
        f"bpg-capacity - proposed-1: {told(high)} ({region}); ahead {f'at {listed(better)}' if better else 'nowhere'}"
    )
    return Finding(text, verdict(high))


def _cliff(c: Curves) -> Finding:
    modes = {system for system, channel, _ in c.all if envelope_of(system) == "bpg-ldpc" and channel == "awgn"}
    if not modes:
        raise Missing("bpg-ldpc on awgn")
    drops = {mode.removeprefix("bpg-ldpc-"): _fall(c.of(mode)) for mode in sorted(modes)}
    smooth = _fall(c.of("proposed-1"))
    text = ", ".join(f"{mode} {drop:.1f}" for mode, drop in drops.items())
    return Finding(
        f"largest loss between SNRs at most {_NEAR_DB:g} dB apart, dB: {text}; proposed-1 {smooth:.1f}",
        _yes(max(drops.values()) > _CLIFF_DB > smooth),
    )


def _fall(line: Line) -> float:
    """The largest loss of PSNR from an SNR to the next lower one; raises Missing if none are near enough"""
    near = [(low, high) for low, high in pairwise(sorted(line.means)) if high - low <= _NEAR_DB]
    if not near:
        raise Missing(f"{line.name} at SNRs at most {_NEAR_DB:g} dB apart")
    return max(line.means[high].psnr - line.means[low].psnr for low, high in near)


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
    faded = c.of("proposed-1", "rayleigh")
    lost, more = gains(c.of("proposed-1"), faded), gains(faded, c.of("bpg-ldpc", "rayleigh"))
    spared: Gains = {snr: gain and Gain(_ROBUST_DB - gain.mean, gain.error) for snr, gain in lost.items()}
    text = f"AWGN - Rayleigh, proposed-1: {told(lost)}; proposed-1 - bpg-ldpc on Rayleigh: {told(more)}"
    return Finding(text, verdict(spared, more))


def _side_information(c: Curves) -> Finding:
    best = c.of("proposed-2", delta=units.NOISELESS)
    found = {name: gains(best, c.of(name, delta=units.NOISELESS)) for name in SIDE_INFORMATION}
    text = "; ".join(f"proposed-2 - {name}: {told(gain)}" for name, gain in found.items())
    return Finding(f"{text} (small networks with little training: docs/distributed.md)", "no claim")


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
    ("... BPG+LDPC scheme. It suffers from the \"cliff effect\"", _cliff),
    ("... and performs worse than the proposed model in terms of PSNR", _ldpc),
    ("the proposed method II, which shows the upper bound performance of proposed I", _bound),
    ("its performance improves with the quality of side information. It adapts to every ∆ value in a single model",
     _deltas),
    ("a Rayleigh fast fading channel with perfect channel state information ..., which also proves the robustness",
     _rayleigh),
    ("... and the performance gain of the proposed model", _joint("rayleigh")),
    ("with DL-base DSC schemes DSIN and DWSIC which consider the same case, the proposed scheme shows competitive "
     "performance", _side_information),
    ("*not in the paper:* what the joint model costs a view whose neighbour never arrives", _absent),
)  # fmt: skip
