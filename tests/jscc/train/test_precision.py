from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from jscc.train import precision
from jscc.train.__main__ import main
from jscc.train.precision import computes_bfloat16, half_precision
from jscc.train.run_folder import described

CPU = torch.device("cpu")


@pytest.fixture
def without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "computes_bfloat16", lambda device: device.type != "cpu")


def test_a_device_of_its_own_is_trusted_and_a_processor_is_asked() -> None:
    assert computes_bfloat16(torch.device("cuda"))
    info = Path("/proc/cpuinfo")
    flags = info.read_text() if info.exists() else ""
    if "avx512_bf16" in flags:
        assert computes_bfloat16(CPU)
    elif "avx2" in flags and not any(word in flags for word in ("avx512", "amx_", "avx_ne_convert", "avx_vnni")):
        assert not computes_bfloat16(CPU)


def test_a_processor_without_bfloat16_trains_in_float32_and_says_so(
    without_bfloat16: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not half_precision(CPU, full=False)
    assert "training in float32, as --full-precision does" in capsys.readouterr().out
    assert not half_precision(CPU, full=True)
    assert half_precision(torch.device("cuda"), full=False)
    assert not half_precision(torch.device("cuda"), full=True)
    assert capsys.readouterr().out == ""


def test_the_run_tells_what_it_was_computed_in(without_bfloat16: None, tmp_path: Path) -> None:
    for side in ("left", "right"):
        folder = tmp_path / "pairs" / side
        folder.mkdir(parents=True)
        noise = np.random.default_rng(len(side)).integers(0, 256, (128, 256, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / "a.png"), noise)
    words = ["--pairs", str(tmp_path / "pairs"), "--preset", "tiny", "--patches", "1", "--whole-share", "0"]
    main([*words, "--steps", "1", "--threads", "1", "--out", str(tmp_path / "run")])
    assert described(tmp_path / "run")["settings"]["half_precision"] is False
