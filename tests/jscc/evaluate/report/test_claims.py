"""Claims are judged by the numbers, and by nothing else."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from jscc.evaluate.coding.ldpc import MODES
from jscc.evaluate.report.claims import MARKS, fill, main, table
from jscc.evaluate.report.figures import draw
from jscc.evaluate.report.gains import Curves, Gain, Gains, Missing, gains, told, verdict
from jscc.evaluate.report.summary import with_envelopes
from jscc.evaluate.rows import Row
from jscc.evaluate.systems.base import CHANNELS, Channel
from wire.runtime.errors import UserError

AIMED = "proposed-1@small-ms-ssim"
SETTINGS = {
    "trained_for": {AIMED: "ms-ssim"},
    "galleries": {"gallery.png": {"bpg-capacity": (22.1, 0.91), "proposed-1": (23.2, 0.93)}},
}
SNRS = tuple(range(-2, 14, 2))


def curve(
    system: str, psnr: float, slope: float, delta: float = 0.0, channel: str = "awgn", apart: float = 0.1
) -> list[Row]:
    """Both views of two pairs; MS-SSIM grows with the PSNR. The right view is `apart` dB below the left."""
    return [
        Row(system, channel, snr, delta, picture, view, level, 0.8 + level / 200, None, 5120, 0.1)
        for snr in map(float, SNRS)
        for picture, easier in (("a", 0.0), ("b", 2.0))
        for view, worse in (("left", 0.0), ("right", apart))
        for level in [psnr + easier - worse + slope * snr]
    ]


def modes(channel: Channel, psnr: float = 20.0, failed: float = 11.0) -> list[Row]:
    """One after the other the modes of BPG+LDPC arrive, with 1 dB more each time."""
    return [
        Row(f"bpg-ldpc-{mode.name}", channel, float(snr), 0.0, picture, view, level, 0.8, 426, 5120, 0.1)
        for place, mode in enumerate(MODES)
        for snr in SNRS
        for picture in "ab"
        for view in ("left", "right")
        for level in [psnr + place if snr >= 2 * place - 2 else failed]
    ]


def measured() -> list[Row]:
    """A run in which every claim holds."""
    made = curve("proposed-1", 24, 0.3) + curve("baseline", 23, 0.3) + curve("proposed-2", 25.5, 0.25, math.inf)
    made += curve("proposed-1", 24.5, 0.29, 5.0) + curve("proposed-1", 24.8, 0.28, 10.0) + curve(AIMED, 29, 0.3)
    made += curve("proposed-absent", 23.1, 0.3, -math.inf) + curve("proposed-2@small-ms-ssim", 24.9, 0.2, math.inf)
    made += curve("dsin-capacity", 24, 0.3, math.inf) + curve("dwsic-capacity", 25, 0.25, math.inf)
    made += curve("bpg-capacity", 22.5, 0.5) + curve("jpeg2000-capacity", 21, 0.5)
    made += curve("proposed-1", 23.5, 0.29, channel="rayleigh") + curve("baseline", 22.5, 0.29, channel="rayleigh")
    return made + [row for channel in CHANNELS for row in modes(channel)]


def with_other(*others: list[Row]) -> list[Row]:
    """The run in which every claim holds, but for these curves."""
    replaced = {(row.system, row.channel, row.delta) for other in others for row in other}
    kept = [row for row in measured() if (row.system, row.channel, row.delta) not in replaced]
    return kept + [row for other in others for row in other]


def held(rows: list[Row]) -> list[str]:
    text = table(with_envelopes(rows), SETTINGS)
    return [line.split("|")[4].strip() for line in text.splitlines() if line.startswith("| ") and line[2].isdigit()]


def test_every_claim_gets_its_numbers_and_a_verdict() -> None:
    assert held(measured()) == ["yes"] * 11 + ["no claim"] * 2
    text = table(with_envelopes(measured()), SETTINGS)
    assert "proposed-2 - dwsic-capacity: +0.50" in text
    assert "proposed-1 - baseline: +1.00 ± 0.00 (-2 dB) to +1.00 ± 0.00 dB" in text
    assert "from 8 dB on); ahead at 8, 10, 12 dB" in text
    assert "`gallery.png`: bpg-capacity 22.10 dB / 0.9100; proposed-1 23.20 dB / 0.9300." in text


@pytest.mark.parametrize(
    ("claim", "worse"),
    [
        (1, lambda: curve("proposed-1", 24, 0.3, apart=0.5)),
        (2, lambda: curve("baseline", 24.5, 0.3)),
        (3, lambda: curve(AIMED, 20, 0.3)),
        (4, lambda: curve("jpeg2000-capacity", 26, 0.5)),
        (5, lambda: curve("bpg-capacity", 20, 0.3)),
        (6, lambda: modes("awgn", failed=25.0)),
        (7, lambda: modes("awgn", 40.0)),
        (8, lambda: curve("proposed-2", 23, 0.25, math.inf)),
        (9, lambda: curve("proposed-1", 23, 0.3, 5.0)),
        (10, lambda: curve("proposed-1", 22.8, 0.3, channel="rayleigh")),
        (10, lambda: modes("rayleigh", 40.0)),
        (11, lambda: curve("baseline", 24.5, 0.3, channel="rayleigh")),
    ],
)
def test_a_claim_that_does_not_hold_is_said_not_to(claim: int, worse: Callable[[], list[Row]]) -> None:
    assert held(with_other(worse()))[claim - 1] == "no"


def test_a_network_that_falls_off_a_cliff_too_contradicts_the_claim() -> None:
    fallen = [row for row in curve("proposed-1", 24, 0.3) if row.snr > 0]
    assert held(with_other(fallen + [row for row in curve("proposed-1", 19, 0.3) if row.snr <= 0]))[5] == "no"


def test_a_claim_without_its_systems_is_not_judged() -> None:
    rows = curve("proposed-1", 24, 0.3)
    assert set(held(rows)) == {"not measured"}
    assert "needs baseline on awgn" in table(rows, {})


@pytest.mark.parametrize(
    ("snrs", "claim", "needed"),
    [
        ((4.0, 6.0), 4, "an SNR up to 2 dB"),
        ((4.0, 6.0), 5, "an SNR from 8 dB on"),
        ((-2.0, 4.0, 10.0), 6, "bpg-ldpc-16qam-1/2 at SNRs at most 2 dB apart"),
    ],
)
def test_a_claim_without_its_snrs_is_not_judged(snrs: tuple[float, ...], claim: int, needed: str) -> None:
    rows = [row for row in measured() if row.snr in snrs]
    assert held(rows)[claim - 1] == "not measured"
    assert f"needs {needed}" in table(with_envelopes(rows), SETTINGS)


def sure(**means: float) -> Gains:
    return {float(name[2:]): Gain(mean, 0.1) for name, mean in means.items()}


def test_a_verdict_needs_every_gain_at_an_snr() -> None:
    assert verdict(sure(at0=1.0, at2=1.0), sure(at0=0.1, at2=-0.1)) == "at 0 dB"
    assert verdict(sure(at0=-1.0)) == "no"


def test_a_verdict_judges_what_was_measured_and_names_the_rest() -> None:
    assert verdict(sure(at0=1.0, at2=1.0), {0.0: Gain(0.1, 0.1), 4.0: None}) == "yes; not measured at 2, 4 dB"
    with pytest.raises(Missing, match="a common SNR"):
        verdict(sure(at0=1.0), sure(at2=1.0))


def test_the_error_of_a_gain_is_that_of_the_differences_on_the_same_pair() -> None:
    """+1 and +3 dB: mean 2, standard deviation sqrt(2), standard error 1; the pairs' own levels do not matter."""
    rows = [
        Row(system, "awgn", 0.0, 0.0, picture, view, level, 0.9, None, 5120, 0.1)
        for system, levels in (("above", (21.0, 33.0)), ("below", (20.0, 30.0)))
        for picture, level in zip("ab", levels, strict=True)
        for view in ("left", "right")
    ]
    curves = Curves(rows, {})
    found = gains(curves.of("above"), curves.of("below"))
    assert found == {0.0: Gain(pytest.approx(2.0), pytest.approx(1.0))}  # type: ignore[arg-type]
    assert told(found) == "+2.00 ± 1.00 (0 dB) to +2.00 ± 1.00 dB (0 dB)"
    alone = Curves([row for row in rows if row.picture == "a"], {})
    assert told(gains(alone.of("above"), alone.of("below"))) == "+1.00 (0 dB) to +1.00 dB (0 dB)"


def test_the_table_goes_between_the_marks_of_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{MARKS[0]}\nold\n{MARKS[1]}\nafter\n")
    fill(page, "new\n")
    assert page.read_text() == f"before\n{MARKS[0]}\nnew\n{MARKS[1]}\nafter\n"
    page.write_text("no marks")
    with pytest.raises(UserError, match="has no place for the claims; put <!-- claims -->"):
        fill(page, "new\n")


def test_a_folder_without_a_run_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--page", str(tmp_path / "page.md")]) == 2
    assert capsys.readouterr().err == f"error: there is no {tmp_path / 'settings.json'}\n"


def test_panels_of_psnr_leave_out_what_was_trained_for_ms_ssim(tmp_path: Path) -> None:
    draw(with_envelopes(measured()), tmp_path, {AIMED, "proposed-2@small-ms-ssim"})
    psnr, ssim, deltas = ((tmp_path / f"{name}-awgn.svg").read_text() for name in ("psnr", "ms_ssim", "delta"))
    assert AIMED not in psnr
    assert AIMED in ssim
    for picture in (psnr, ssim, deltas):
        assert "MS-SSIM: Gaussian window 7" in picture
    assert "proposed-absent" not in psnr
    assert "proposed-absent, other view never arrives" in deltas
    assert "jpeg2000-pillow" not in ssim
