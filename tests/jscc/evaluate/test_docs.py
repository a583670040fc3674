"""docs/evaluation.md: its example is run."""

import re
from pathlib import Path

import numpy as np
import pytest

from jscc.evaluate.__main__ import main
from jscc.evaluate.rows import Table
from jscc.evaluate.systems.live import THRESHOLDS_DB

PAGE = Path(__file__).resolve().parents[3] / "docs" / "evaluation.md"


def test_the_system_of_the_page_runs(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = re.search(r"```python\n# (\w+)\.py\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    (tmp_path / f"{found[1]}.py").write_text(found[2])
    monkeypatch.syspath_prepend(str(tmp_path))
    out = tmp_path / "out"
    words = ["--systems", "blockmeans:BlockMeans", "--snr", "0,20", "--jobs", "1"]
    assert main(["--pairs", str(folder), "--out", str(out), *words]) == 0
    rows = Table(out / "results.csv").read()
    assert {row.symbols for row in rows} == {768}
    poor, good = (np.mean([row.psnr for row in rows if row.snr == snr]) for snr in (0.0, 20.0))
    assert good > poor + 3


def test_thresholds_of_the_page_are_those_of_the_code() -> None:
    page = PAGE.read_text(encoding="utf-8")
    told = re.findall(r"^\| (?:QPSK|\d+-QAM) \d/\d+ \| \d+ \| \S+(?: dB)? \| (\S+) \|", page, re.MULTILINE)
    assert [float(number) for number in told] == list(THRESHOLDS_DB["awgn"].values())
    (fading,) = re.findall(r"Fast Rayleigh fading, nearly all: (.*) dB\.", page)
    assert [float(number) for number in re.split(", | and ", fading)] == list(THRESHOLDS_DB["rayleigh"].values())
