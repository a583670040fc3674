"""Runs of the bench: what they measure, that they go on where they stopped, and what they leave behind."""

import io
import json
import math
import sys
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from jscc.evaluate import runner
from jscc.evaluate.__main__ import DEFAULT_SYSTEMS, main, numbers, systems_at
from jscc.evaluate.report.networks import costs
from jscc.evaluate.report.summary import markdown, means, with_envelopes
from jscc.evaluate.rows import COLUMNS, Row, Table
from jscc.evaluate.session import Progress, Request, read_scenes, run_session
from jscc.evaluate.systems.base import Channel, Pair, Sent
from jscc.evaluate.systems.registry import expand
from tests.jscc.evaluate.conftest import made_up_pair, write_pairs
from wire import quality
from wire.geometry import PictureSize
from wire.runtime.errors import UserError


class Echo:
    """A system whose pictures are off by an amount that falls with the own SNR."""

    deltas: tuple[float, ...] = (0.0, 5.0, math.inf)
    fingerprint = "one"
    calls: list[tuple[str, float, float]]
    symbols = 5120

    def __init__(self) -> None:
        type(self).calls = []

    def transmit(
        self, pair: Pair, snr_left: float, snr_right: float, channel: Channel, rng: np.random.Generator
    ) -> Sent:
        self.calls.append((pair.name, snr_left, snr_right))
        error = np.array([10 ** (-snr / 20) for snr in (snr_left, snr_right)], np.float32) / 10
        pictures = np.abs(pair.truth - error[:, None, None, None])
        return Sent(pictures, (self.symbols, self.symbols), (100, 100))


@pytest.fixture(autouse=True)
def module(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`echo:Echo` can be imported; MS-SSIM, which has tests of its own, costs nothing."""
    monkeypatch.setattr(quality, "ms_ssim", lambda picture, reference: 0.9)
    monkeypatch.setattr(runner, "_scores", OrderedDict())  # no other test may meet the 0.9
    made = ModuleType("echo")
    made.Echo = Echo  # type: ignore[attr-defined]
    sys.modules["echo"] = made
    Echo.symbols, Echo.fingerprint = 5120, "one"
    yield
    del sys.modules["echo"]


def session(folder: Path, out: Path, snrs: Sequence[float] = (0.0, 10.0), **changes: object) -> list[Row]:
    request = Request(("echo:Echo",), ("awgn",), snrs, **changes)  # type: ignore[arg-type]
    return run_session(read_scenes(folder), request, out, io.StringIO())


def test_every_view_of_every_condition_gets_a_row(folder: Path, tmp_path: Path) -> None:
    rows = session(folder, tmp_path)
    assert len(rows) == 2 * 2 * 3 * 2  # pairs, SNRs, deltas, views
    assert {row.delta for row in rows} == {0.0, 5.0, math.inf}
    # With a difference, each view is once the one with the own SNR.
    assert {call[1:] for call in Echo.calls if call[0] == "a" and 0.0 in call[1:]} == {
        (0.0, 0.0), (0.0, 5.0), (5.0, 0.0), (0.0, math.inf), (math.inf, 0.0)
    }  # fmt: skip
    for row in rows:
        assert row.psnr == pytest.approx(20.0 + row.snr, abs=0.3)


def test_the_table_is_tidy(folder: Path, tmp_path: Path) -> None:
    rows = session(folder, tmp_path, (0.0,))
    lines = (tmp_path / "results.csv").read_text().splitlines()
    assert lines[0] == "system,channel,snr,delta,picture,view,psnr,ms_ssim,bytes,symbols,seconds"
    assert lines[1].startswith("echo:Echo,awgn,0,0,a,left,")
    assert len(lines) == 1 + len(rows)
    back = Table(tmp_path / "results.csv").read()
    assert [row.cell for row in back] == [row.cell for row in rows]


def test_a_run_goes_on_where_it_was_cut_off(folder: Path, tmp_path: Path) -> None:
    session(folder, tmp_path)
    whole = (tmp_path / "results.csv").read_text()
    (tmp_path / "results.csv").write_text(whole[:-25])  # in the middle of the last line
    again = session(folder, tmp_path)
    assert len(Echo.calls) == 2  # one cell, both views
    assert [row.cell for row in again] == [row.cell for row in Table(tmp_path / "results.csv").read()]
    assert len(again) == 24
    session(folder, tmp_path)
    assert Echo.calls == []


def test_settings_and_table_are_replaced_and_never_written_over(folder: Path, tmp_path: Path) -> None:
    """A crash in the middle of writing may cost what is new, but not what was there."""
    session(folder, tmp_path, (0.0,))
    before = {}
    for name in ("settings.json", "results.csv"):
        (tmp_path / f"old-{name}").hardlink_to(tmp_path / name)
        before[name] = (tmp_path / name).read_text()
    Echo.fingerprint = "two"
    session(folder, tmp_path, redo=("echo:Echo",))
    assert "two" in (tmp_path / "settings.json").read_text()
    for name, text in before.items():
        assert (tmp_path / f"old-{name}").read_text() == text
    assert len(Table(tmp_path / "results.csv").read()) == 24
    assert not [path for path in tmp_path.iterdir() if "partial" in path.name]


def test_the_time_that_a_run_took_is_noted_in_one_move_too(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def linked(self: Echo, *given: object, **more: object) -> Sent:
        if not (tmp_path / "during.json").exists():
            (tmp_path / "during.json").hardlink_to(tmp_path / "settings.json")
        return transmit(self, *given, **more)  # type: ignore[arg-type]

    transmit = Echo.transmit
    monkeypatch.setattr(Echo, "transmit", linked)
    monkeypatch.setattr(Progress, "seconds", 7.0)
    session(folder, tmp_path, (0.0,))
    assert json.loads((tmp_path / "settings.json").read_text())["seconds"] == 7.0
    assert json.loads((tmp_path / "during.json").read_text())["seconds"] == 0.0


def test_a_folder_of_results_is_not_mixed_with_other_conditions(folder: Path, tmp_path: Path) -> None:
    session(folder, tmp_path)
    with pytest.raises(UserError, match="was made with --seed 0; use that, or another --out"):
        session(folder, tmp_path, seed=1)
    Echo.fingerprint = "two"
    with pytest.raises(UserError, match=r"another echo:Echo \(one, now two\); add --redo echo:Echo, or use another"):
        session(folder, tmp_path)
    assert len(session(folder, tmp_path, redo=("echo:Echo",))) == 24
    assert len(Echo.calls) == 2 * 2 * (1 + 2 + 2)  # all of it, with the new weights


def test_only_what_is_asked_for_is_thrown_away(folder: Path, tmp_path: Path) -> None:
    before = session(folder, tmp_path)
    with pytest.raises(UserError, match="--redo jpeg2000-capacity is not among the systems of this run; add it"):
        session(folder, tmp_path, redo=("jpeg2000-capacity",))
    again = session(folder, tmp_path, (0.0,), redo=("echo:Echo",))
    assert {call[1:] for call in Echo.calls} == {
        (0.0, 0.0), (0.0, 5.0), (5.0, 0.0), (0.0, math.inf), (math.inf, 0.0)
    }  # fmt: skip
    assert [row.cell for row in again] == [row.cell for row in before]


def test_rows_of_old_weights_do_not_stay_beside_those_of_new_ones(folder: Path, tmp_path: Path) -> None:
    session(folder, tmp_path)
    before = (tmp_path / "results.csv").read_text()
    Echo.fingerprint = "two"
    with pytest.raises(UserError, match="let --redo have every channel, SNR, delta and pair of the folder, or use"):
        session(folder, tmp_path, (0.0,), redo=("echo:Echo",))
    assert (tmp_path / "results.csv").read_text() == before


def test_a_further_call_keeps_the_galleries_of_earlier_ones(folder: Path, tmp_path: Path) -> None:
    session(folder, tmp_path, (0.0,))
    path = tmp_path / "settings.json"
    settings = json.loads(path.read_text()) | {"galleries": {"gallery.png": {"echo:Echo": [20.0, 0.9]}}}
    path.write_text(json.dumps(settings))
    session(folder, tmp_path, (10.0,))
    assert json.loads(path.read_text())["galleries"] == settings["galleries"]


def test_systems_come_into_a_folder_one_by_one(folder: Path, tmp_path: Path) -> None:
    """Other weights of one system do not keep another from being added."""
    first = session(folder, tmp_path, (0.0,))
    Echo.fingerprint = "two"
    pairs = read_scenes(folder)
    later = run_session(pairs, Request(("jpeg2000-capacity",), ("awgn",), (0.0,)), tmp_path, io.StringIO())
    assert len(later) == len(first) + 4
    assert [row.cell for row in later if row.system == "echo:Echo"] == [row.cell for row in first]
    assert set(json.loads((tmp_path / "settings.json").read_text())["systems"]) == {"echo:Echo", "jpeg2000-capacity"}


def test_a_system_that_spends_too_many_symbols_is_stopped(folder: Path, tmp_path: Path) -> None:
    Echo.symbols = 5121
    with pytest.raises(UserError, match="echo:Echo spent 5121 symbols on a view; every system has 5120"):
        session(folder, tmp_path)


def test_a_damaged_table_is_named_with_its_line(tmp_path: Path) -> None:
    table = tmp_path / "results.csv"
    table.write_text(",".join(COLUMNS) + "\nbroken,line\n" + "x,awgn,0,0,a,left,1,1,,5120,1\n")
    with pytest.raises(UserError, match=r"results.csv:2: expected 11 columns, got 2"):
        Table(table).read()


def row(system: str, snr: float, psnr: float, picture: str = "a") -> Row:
    return Row(system, "awgn", snr, 0.0, picture, "left", psnr, 0.9, 640, 5120, 0.1)


def test_the_envelope_is_the_best_mode_by_mean_psnr_at_each_snr() -> None:
    rows = [row("bpg-ldpc-qpsk-1/2", 0.0, 24.0), row("bpg-ldpc-16qam-1/2", 0.0, 10.0),
            row("bpg-ldpc-qpsk-1/2", 8.0, 24.0), row("bpg-ldpc-16qam-1/2", 8.0, 27.0),
            row("baseline", 0.0, 30.0)]  # fmt: skip
    envelope = means(with_envelopes(rows))["bpg-ldpc", "awgn", 0.0]
    assert [(snr, mean.psnr) for snr, mean in envelope.items()] == [(0.0, 24.0), (8.0, 27.0)]
    assert "| bpg-ldpc | 24.00 | 27.00 |" in markdown(with_envelopes(rows), "Title", [])


def test_ldpc_becomes_one_system_per_mode() -> None:
    assert [entry.name for entry in expand(["bpg-ldpc"])] == [
        "bpg-ldpc-qpsk-1/5", "bpg-ldpc-qpsk-1/4", "bpg-ldpc-qpsk-1/3", "bpg-ldpc-qpsk-1/2", "bpg-ldpc-qpsk-2/3",
        "bpg-ldpc-16qam-5/12", "bpg-ldpc-16qam-1/2", "bpg-ldpc-16qam-2/3", "bpg-ldpc-64qam-1/2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [("-2:12:2", [-2, 0, 2, 4, 6, 8, 10, 12]), ("1", [1]), ("-3,1.5", [-3, 1.5]), ("0:0.5:0.25", [0, 0.25, 0.5])],
)
def test_numbers_of_the_command_line(text: str, expected: list[float]) -> None:
    assert numbers(text, "--snr") == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--systems", "bgp-capacity"],
            "unknown system 'bgp-capacity'; allowed: proposed-1, proposed-2, proposed-absent, ",
        ),
        (["--systems", "nowhere.at:All"], "cannot load the system nowhere.at:All: No module named 'nowhere'"),
        (["--channel", "rician"], "unknown channel 'rician'; allowed: awgn, rayleigh"),
        (["--snr", "high"], "--snr is 'high'; give FIRST:LAST:STEP such as -2:12:2"),
        (["--snr", "12:-2:2"], "--snr is '12:-2:2'; give FIRST:LAST:STEP"),
        (["--snr", "nan"], "--snr is 'nan'; give FIRST:LAST:STEP"),
        (["--snr", "0:inf:2"], "--snr is '0:inf:2'; give FIRST:LAST:STEP"),
        (["--snr", "0:10:0"], "--snr is '0:10:0'; give FIRST:LAST:STEP"),
        (["--systems", "baseline", "--deltas", "7"], "--deltas has 7; allowed: 0, 5, 10"),
        (["--show-snr", "nan"], "--show-snr is nan; give a finite number of dB"),
        (["--jobs", "0"], "--jobs is 0; it must be at least 1"),
        (["--limit", "0"], "--limit is 0; it must be at least 1"),
        (["--seed", "-1"], "--seed is -1; it must be at least 0"),
        (["--out", "/dev/null/results"], "cannot write to /dev/null/results: Not a directory; use another --out"),
        (["--show", "nobody"], "--show nobody: there is no such pair; the first is a"),
        (["--pairs", "/no/such/folder"], "/no/such/folder has no folder left/"),
        (["--systems", "proposed-1@no-such-weights"], "proposed-1 has no weights no-such-weights: "),
    ],
)
def test_what_a_user_can_mend_is_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    defaults = {"--pairs": str(folder), "--systems": "echo:Echo", "--snr": "0", "--out": str(tmp_path)}
    given = dict(zip(words[::2], words[1::2], strict=True))
    assert main([word for option in (defaults | given).items() for word in option]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert error.count("\n") == 1


def test_means_over_other_pictures_do_not_come_into_one_table(folder: Path, tmp_path: Path) -> None:
    pairs = read_scenes(folder)
    request = Request(("jpeg2000-capacity",), ("awgn",), (2.0,))
    run_session(pairs[:1], request, tmp_path, io.StringIO())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    echo = Request(("echo:Echo",), ("awgn",), (2.0, 4.0))
    with pytest.raises(
        UserError, match=r"has results of 1 pairs that echo:Echo at 2 dB, delta 0 \(awgn\) would lack, first a"
    ):
        run_session(pairs[1:], echo, tmp_path, io.StringIO())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    notes = io.StringIO()
    assert {row.system for row in run_session(pairs, echo, tmp_path, notes)} == {"echo:Echo"}
    assert notes.getvalue().endswith("left out, 1 of 2 pairs: jpeg2000-capacity at 2 dB, delta 0 (awgn)\n")
    assert {row.system for row in Table(tmp_path / "results.csv").read()} == {"echo:Echo", "jpeg2000-capacity"}
    both = replace(echo, systems=("echo:Echo", "jpeg2000-capacity"))
    rows = run_session(pairs, both, tmp_path, io.StringIO())
    assert {row.picture for row in rows if row.system == "jpeg2000-capacity"} == {"a", "b"}


def test_one_command_leaves_table_page_figures_and_gallery(folder: Path, tmp_path: Path) -> None:
    systems = "jpeg2000-capacity,echo:Echo"
    options = {"--pairs": str(folder), "--systems": systems, "--snr": "-2:0:2", "--out": str(tmp_path), "--jobs": "1"}
    assert main([word for option in options.items() for word in option]) == 0
    left = {path.name for path in tmp_path.iterdir()}
    assert left >= {"results.csv", "results.md", "settings.json", "psnr-awgn.png", "psnr-awgn.svg", "ms_ssim-awgn.svg"}
    assert "gallery-awgn-1dB.png" in left
    page = (tmp_path / "results.md").read_text()
    assert "MS-SSIM: Gaussian window 7" in page
    assert "`python -m jscc.evaluate --pairs" in page
    assert "MS-SSIM: Gaussian window 7" in (tmp_path / "ms_ssim-awgn.svg").read_text()
    sizes = [row.bytes or 0 for row in Table(tmp_path / "results.csv").read() if row.system == "jpeg2000-capacity"]
    assert 0 < max(sizes) <= 640
    assert json.loads((tmp_path / "settings.json").read_text())["systems"]["jpeg2000-capacity"] == "jpeg2000"


def test_pictures_of_any_size_are_compared_at_the_symbols_of_that_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = PictureSize(144, 272)
    folder = write_pairs(tmp_path / "pairs", [made_up_pair("a", 1, size)])
    words = ["--pairs", str(folder), "--systems", "jpeg2000-capacity", "--snr", "0", "--jobs", "1"]
    assert main([*words, "--size", str(size), "--out", str(tmp_path / "wide")]) == 0
    rows = Table(tmp_path / "wide" / "results.csv").read()
    assert {row.symbols for row in rows} == {6120}
    assert all(0.9 * 6120 / 8 < (row.bytes or 0) <= 6120 / 8 for row in rows)
    page = (tmp_path / "wide" / "results.md").read_text()
    assert "Pictures of 144x272, 6,120 symbols each." in page
    with pytest.raises(SystemExit):
        main([*words, "--size", "100x200", "--out", str(tmp_path / "other")])
    capsys.readouterr()
    assert main([*words, "--out", str(tmp_path / "wide")]) == 2
    assert "was made with pictures of 144x272, not 128x256; use another --out" in capsys.readouterr().err


def test_systems_that_know_one_size_only_stay_out_at_others(capsys: pytest.CaptureFixture[str]) -> None:
    small, large = PictureSize(128, 256), PictureSize(256, 512)
    assert systems_at(small, None) == list(DEFAULT_SYSTEMS)
    assert capsys.readouterr().out == ""
    assert systems_at(large, None) == [
        name for name in DEFAULT_SYSTEMS if name not in ("dsin-capacity", "dwsic-capacity")
    ]
    assert "dsin-capacity, dwsic-capacity left out: they know pictures of 128x256 only" in capsys.readouterr().out
    assert not {"dsin-capacity", "dwsic-capacity", "paper"} & set(systems_at(large, "paper"))
    assert systems_at(large, "separate,echo:Echo")[-1] == "echo:Echo"
    with pytest.raises(UserError, match="leave out dwsic-capacity, or --size"):
        systems_at(large, "baseline,dwsic-capacity")


def test_what_a_network_costs_grows_with_the_picture() -> None:
    small, large = (costs(["baseline"], PictureSize(rows, 2 * rows))["baseline"] for rows in (128, 256))
    assert large.encoder_gmac == pytest.approx(4 * small.encoder_gmac, rel=0.01)
    assert large.decoder_gmac == pytest.approx(4 * small.decoder_gmac, rel=0.01)


def test_two_processes_find_what_one_finds(folder: Path, tmp_path: Path) -> None:
    found = []
    for jobs in (1, 2):
        request = Request(("jpeg2000-capacity",), ("awgn",), (2.0,), jobs=jobs)
        rows = run_session(read_scenes(folder), request, tmp_path / str(jobs), io.StringIO())
        found.append([(row.cell, row.view, row.psnr, row.bytes) for row in rows])
    assert found[0] == found[1]
