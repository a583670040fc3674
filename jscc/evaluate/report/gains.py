"""How much one curve of a run lies above another, SNR by SNR, and in a word whether that is so everywhere."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from jscc.evaluate.report.summary import Curve, Mean, means
from jscc.evaluate.rows import Row
from jscc.evaluate.systems.base import MS_SSIM

Quantity = Literal["psnr", "ms_ssim"]


class Missing(Exception):
    """Something that the claim needs was not measured."""


@dataclass(frozen=True, slots=True)
class Gain:
    """The mean over pairs of what one system has more than another on the same pair. PSNR in dB.

    error  standard error of that mean; NaN for a single pair
    """

    mean: float
    error: float

    def told(self, quantity: Quantity = "psnr") -> str:
        """ "+0.41 ± 0.03", in PSNR's two digits or in MS-SSIM's four."""
        digits = 2 if quantity == "psnr" else 4
        error = "" if math.isnan(self.error) else f" ± {self.error:.{digits}f}"
        return f"{self.mean:+.{digits}f}{error}"


Gains = Mapping[float, Gain | None]
"""By SNR in dB; None where only one of both curves was measured."""


@dataclass(frozen=True, slots=True)
class Line:
    """One curve of a run, by SNR in dB: the means over all pairs, and the rows of each pair by its name."""

    name: str
    means: Mapping[float, Mean]
    pairs: Mapping[float, Mapping[str, Sequence[Row]]]

    def levels(self, snr: float, quantity: Quantity) -> dict[str, float]:
        """By pair: the mean of its views."""
        return {name: _mean([getattr(row, quantity) for row in rows]) for name, rows in self.pairs.get(snr, {}).items()}


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


_Pairs = defaultdict[Curve, defaultdict[float, defaultdict[str, list[Row]]]]


class Curves:
    """The curves of a run."""

    def __init__(self, rows: Sequence[Row], trained_for: Mapping[str, str]) -> None:
        pairs: _Pairs = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
        for row in rows:
            pairs[row.system, row.channel, row.delta][row.snr][row.picture].append(row)
        self.all = {curve: Line(curve[0], found, pairs[curve]) for curve, found in means(rows).items()}
        self._aimed = {name.partition("@")[0]: name for name, aim in trained_for.items() if aim == MS_SSIM}

    def of(self, system: str, channel: str = "awgn", delta: float = 0.0) -> Line:
        """One curve of a system; delta: the other link's SNR minus the own, dB. raises Missing if there is none"""
        found = self.all.get((system, channel, delta))
        if found is None:
            raise Missing(f"{system} on {channel}")
        return found

    def aimed(self, base: str) -> str:
        """The system of this base that was trained for MS-SSIM; raises Missing"""
        if base not in self._aimed:
            raise Missing(f"{base} trained for MS-SSIM")
        return self._aimed[base]


def gains(above: Line, below: Line, quantity: Quantity = "psnr") -> Gains:
    """How much one curve lies above another at every SNR of either, over the pairs that both have.

    above, below  curves of one kind of channel
    quantity      "psnr", dB, or "ms_ssim"
    returns       by SNR in dB: the mean of `above` - `below` and its standard error; None where no pair has both
    """
    found: dict[float, Gain | None] = {}
    for snr in sorted({*above.pairs, *below.pairs}):
        ours, theirs = above.levels(snr, quantity), below.levels(snr, quantity)
        more = [level - theirs[pair] for pair, level in ours.items() if pair in theirs]
        error = float(np.std(more, ddof=1)) / math.sqrt(len(more)) if len(more) > 1 else math.nan
        found[snr] = Gain(_mean(more), error) if more else None
    return found


def within(found: Gains, kept: Callable[[float], bool], region: str) -> Gains:
    """Only some SNRs.

    kept    whether an SNR in dB is one of them
    region  says which, such as "up to 2 dB"
    raises  Missing if none of them was measured
    """
    part = {snr: gain for snr, gain in found.items() if kept(snr)}
    if not any(part.values()):
        raise Missing(f"an SNR {region}")
    return part


def told(found: Gains, quantity: Quantity = "psnr") -> str:
    """ "+0.41 ± 0.03 (12 dB) to +1.20 ± 0.05 dB (-2 dB)": the least and the greatest gain, and where; raises Missing"""
    both = {snr: gain for snr, gain in found.items() if gain}
    if not both:
        raise Missing("a common SNR")
    least, most = (choose(both, key=lambda snr: both[snr].mean) for choose in (min, max))
    unit = " dB" if quantity == "psnr" else ""
    return f"{both[least].told(quantity)} ({least:g} dB) to {both[most].told(quantity)}{unit} ({most:g} dB)"


def ahead(*found: Gains) -> list[float]:
    """The SNRs at which all gains are above 0."""
    return [snr for snr in found[0] if all((gain := one.get(snr)) and gain.mean > 0 for one in found)]


def verdict(*found: Gains) -> str:
    """Whether all gains are above 0 at each SNR that all have: yes, no, or where; and what was not measured.

    raises  Missing if they have no SNR in common
    """
    every = sorted({snr for one in found for snr in one})
    common = [snr for snr in every if all(one.get(snr) for one in found)]
    if not common:
        raise Missing("a common SNR")
    good = ahead(*found)
    word = "yes" if good == common else f"at {listed(good)}" if good else "no"
    return word if common == every else f"{word}; not measured at {listed(sorted({*every} - {*common}))}"


def listed(snrs: Sequence[float]) -> str:
    """ "8, 10 dB" """
    return f"{', '.join(f'{snr:g}' for snr in snrs)} dB"
