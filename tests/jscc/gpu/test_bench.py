"""What is measured, on a CPU: how fast that is, is nobody's business."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from jscc.gpu import bench
from jscc.model.codec import JointCodec
from jscc.model.config import CodecConfig, preset
from jscc.train.device_steps import DeviceSteps
from jscc.train.settings import TrainSettings
from jscc.train.state import new_model

SMALL = ["--preset", "tiny", "--device", "cpu", "--patches", "1", "--pictures", "1", "--seconds", "0"]


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[CodecConfig]:
    """The networks that are measured; of their steps, only that they are asked for, and of decoding one call."""
    found: list[CodecConfig] = []

    def build(config: CodecConfig, seed: int, device: torch.device) -> JointCodec:
        found.append(config)
        return new_model(config, seed, device)

    monkeypatch.setattr(bench, "new_model", build)
    monkeypatch.setattr(bench, "count_flop", lambda *_: 10**9)
    monkeypatch.setattr(DeviceSteps, "seconds_per_step", lambda *_: 0.5)
    return found


def test_the_network_that_was_trained_is_measured(
    built: list[CodecConfig], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[TrainSettings] = []

    def steps(state: Any, settings: TrainSettings, *more: Any, **options: Any) -> DeviceSteps:
        seen.append(settings)
        return DeviceSteps(state, settings, *more, **options)

    monkeypatch.setattr(bench, "seconds_of", lambda work, *_: work() or 0.5)
    monkeypatch.setattr(bench, "DeviceSteps", steps)
    options = ["--baseline", "--set", "codec.decoder_widths=[16,8,8]", "mixture.mono_share=0", "draws.absent_other=0"]
    options += ["--optimiser", "adamw", "--full-precision"]
    found = bench.main([*SMALL, *options, "--batches", "1", "--out", str(tmp_path / "bench.json")])
    assert json.loads((tmp_path / "bench.json").read_text()) == found
    assert {(config.joint, config.decoder_widths) for config in built} == {(False, (16, 8, 8))}
    assert found["config"] == {**preset("tiny", joint=False).to_dict(), "decoder_widths": [16, 8, 8]}
    assert [(each.optimiser, each.half_precision, each.mixture.mono_share) for each in seen] == [("adamw", False, 0.0)]
    assert [(row["size"], row["pairs_per_s"], row["graph"]) for row in found["training"]] == [
        ([64, 128], 2.0, False),
        ([128, 256], 2.0, False),
    ]
    assert [(row["batch"], row["pairs_per_s"]) for row in found["decoding"]] == [(1, 2.0)]


def test_what_was_measured_before_the_memory_was_full_is_kept(
    built: list[CodecConfig], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    decoded = 0

    def seconds_of(work: bench.Repeated, *_: object) -> float:
        nonlocal decoded
        decoded += work._work.__name__ == "decode"  # type: ignore[attr-defined]
        if decoded == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return 0.5

    monkeypatch.setattr(bench, "seconds_of", seconds_of)
    with pytest.raises(torch.OutOfMemoryError):
        bench.main([*SMALL, "--batches", "1", "64", "--out", str(tmp_path / "bench.json")])
    found = json.loads((tmp_path / "bench.json").read_text())
    assert len(found["training"]) == 2
    assert [row["batch"] for row in found["decoding"]] == [1]


def test_operations_are_counted_and_time_is_taken() -> None:
    """Operations grow with the pairs of a step; Muon's, which do not, are left out by taking AdamW."""
    config, cpu = preset("tiny"), torch.device("cpu")
    settings = TrainSettings(patches=2, pictures=1, optimiser="adamw")
    flop = bench.count_flop(config, settings, 0)
    assert bench.count_flop(config, TrainSettings(patches=4, pictures=1, optimiser="adamw"), 0) == 2 * flop
    assert 1e8 < flop < 1e11
    calls: list[int] = []
    assert bench.seconds_of(lambda: calls.append(1), cpu, 0.0) >= 0
    assert len(calls) == 3
    assert bench.share_of_peak(1e12, cpu) is None


def test_a_mistake_is_one_line() -> None:
    for more, said in (
        (["--set", "codec.depth=3"], "unknown key 'depth'"),
        (["--device", "toaster"], "--device toaster"),
    ):
        with pytest.raises(SystemExit, match=f"python3 -m jscc.gpu.bench: .*{said}"):
            bench.main([*SMALL, *more])
