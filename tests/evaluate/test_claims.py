"""Claims are judged by the numbers, and by nothing else."""

from pathlib import Path

import pytest

from jscc.evaluate.claims import MARKS, fill, main, table, verdict
from jscc.evaluate.figures import draw
from jscc.evaluate.ldpc import MODES
from jscc.evaluate.rows import Row
from jscc.evaluate.summary import with_envelopes
from wire.problem import Problem

AIMED = "proposed-1@small-ms-ssim"
SETTINGS = {
    "trained_for": {AIMED: "ms-ssim"},
    "galleries": {"gallery.png": {"bpg-capacity": (22.1, 0.91), "proposed-1": (23.2, 0.93)}},
}


def curve(system: str, psnr: float, slope: float, delta: float = 0.0, channel: str = "awgn") -> list[Row]:
    """Both views at -2, 4 and 10 dB; MS-SSIM grows with the PSNR."""
    return [
        Row(system, channel, snr, delta, "a", view, level, 0.8 + level / 200, None, 5120, 0.1)
        for snr in (-2.0, 4.0, 10.0)
        for view in ("left", "right")
        for level in [psnr + slope * snr]
    ]


def rows() -> list[Row]:
    made = curve("proposed-1", 24, 0.3) + curve("baseline", 23, 0.3) + curve("proposed-2", 25, 0.25, float("inf"))
    made += curve("proposed-1", 24.5, 0.28, 5.0) + curve("proposed-1", 24.8, 0.26, 10.0) + curve(AIMED, 23.9, 0.3)
    made += curve("proposed-absent", 23.1, 0.3, float("-inf")) + curve(
        "proposed-2@small-ms-ssim", 24.9, 0.2, float("inf")
    )
    made += curve("bpg-capacity", 23, 0.5) + curve("jpeg2000-capacity", 21, 0.5)
    for place, mode in enumerate(MODES["awgn"]):
        arrives = -2.0 + 2 * place
        made += [
            Row(f"bpg-ldpc-{mode.name}", "awgn", snr, 0.0, "a", view, 20.0 + place if snr >= arrives else 11.0, 0.8,
                426, 5120, 0.1)
            for snr in (-2.0, 4.0, 10.0) for view in ("left", "right")
        ]  # fmt: skip
    return with_envelopes(made)


def held(text: str) -> list[str]:
    return [line.split("|")[4].strip() for line in text.splitlines() if line.startswith("| ") and line[2].isdigit()]


def test_every_claim_gets_its_numbers_and_a_verdict() -> None:
    text = table(rows(), SETTINGS)
    assert held(text) == [
        "yes", "yes", "at -2, 4 dB", "yes", "yes", "yes", "yes", "yes", "yes",
        "not measured", "not measured", "no claim",
    ]  # fmt: skip
    assert "proposed-1 - baseline: +1.00 (-2 dB) to +1.00 dB" in text
    assert "`gallery.png`: bpg-capacity 22.10 dB / 0.9100; proposed-1 23.20 dB / 0.9300." in text


def test_a_claim_that_does_not_hold_is_said_not_to() -> None:
    worse = [row for row in rows() if row.system != "baseline"] + curve("baseline", 24.5, 0.3)
    assert held(table(worse, SETTINGS))[1] == "no"


def test_a_claim_without_its_systems_is_not_judged() -> None:
    text = table(curve("proposed-1", 24, 0.3), {})
    assert set(held(text)) == {"not measured"}
    assert "needs baseline on awgn" in text


def test_a_verdict_needs_every_gain_at_an_snr() -> None:
    assert verdict({0.0: 1.0, 2.0: 1.0}, {0.0: 0.1, 2.0: -0.1}) == "at 0 dB"
    assert verdict({0.0: -1.0}) == "no"


def test_the_table_goes_between_the_marks_of_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{MARKS[0]}\nold\n{MARKS[1]}\nafter\n")
    fill(page, "new\n")
    assert page.read_text() == f"before\n{MARKS[0]}\nnew\n{MARKS[1]}\nafter\n"
    page.write_text("no marks")
    with pytest.raises(Problem, match="has no place for the claims; put <!-- claims -->"):
        fill(page, "new\n")


def test_a_folder_without_a_run_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--page", str(tmp_path / "page.md")]) == 2
    assert capsys.readouterr().err == f"error: there is no {tmp_path / 'settings.json'}\n"


def test_panels_of_psnr_leave_out_what_was_trained_for_ms_ssim(tmp_path: Path) -> None:
    draw(rows(), tmp_path, {AIMED, "proposed-2@small-ms-ssim"})
    psnr, ssim, deltas = ((tmp_path / f"{name}-awgn.svg").read_text() for name in ("psnr", "ms_ssim", "delta"))
    assert AIMED not in psnr
    assert AIMED in ssim
    for picture in (psnr, ssim, deltas):
        assert "MS-SSIM: Gaussian window 7" in picture
    assert "proposed-absent" not in psnr
    assert "proposed-absent, other view never arrives" in deltas
    assert "jpeg2000-pillow" not in ssim
