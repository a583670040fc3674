"""A training learns, goes on exactly where it stopped, and hands its weights to the next one."""

import dataclasses
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from jscc.data.batches import Sources
from jscc.distributed import loop, train
from jscc.distributed.codec import SYSTEMS, Dwsic, System, Widths
from jscc.distributed.loop import Pace, run, train_step
from jscc.distributed.objective import draw_levels, lambda_at, objective
from jscc.distributed.settings import DistributedSettings
from jscc.distributed.ship import main as ship
from jscc.distributed.ship import parser as ship_parser
from jscc.distributed.state import DistributedState
from jscc.distributed.validation import both_ways, rate_distortion_table
from jscc.distributed.weights import load
from jscc.train.pictures import TrainingPictures
from jscc.train.run_folder import RunFolder
from wire.runtime.errors import UserError

SETTINGS = DistributedSettings(steps=4, patches=3, pictures=2, warm_up=1, whole_share=0.5)


def test_levels_cover_all_rates_in_every_step() -> None:
    levels = draw_levels(8, 5, torch.Generator().manual_seed(0))
    assert sorted(int(level) for level in levels * 2) == list(range(8))
    between = lambda_at((1e-4, 1e-2), torch.tensor([0.0, 0.5, 1.0]))
    torch.testing.assert_close(between, torch.tensor([1e-4, 1e-3, 1e-2]))


@pytest.mark.parametrize("system", SYSTEMS)
def test_steps_lower_the_loss_of_a_batch(system: System, widths: Widths, pairs: Tensor) -> None:
    settings = dataclasses.replace(SETTINGS, steps=1000, lr=3e-3, half_precision=False)
    state, pairs = DistributedState(system, widths, settings), pairs[..., :64, :128]
    state.start_from_pictures(pairs.float() / 255)

    def loss() -> float:
        generator = torch.Generator().manual_seed(0)  # the same rate levels and noise before and after
        return float(objective(state.model, widths.lambdas, settings, pairs.float() / 255, generator).loss.detach())

    before = loss()
    for _ in range(25):
        train_step(state, settings, pairs)
    assert loss() < before


@pytest.mark.parametrize("system", ["codec", "dwsic"])
def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    system: System, widths: Widths, sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def go_on(folder: str) -> DistributedState:
        out, state = RunFolder(tmp_path / folder), DistributedState(system, widths, SETTINGS)
        if out.state.exists():
            state.restore(out.state)
        run(state, SETTINGS, sources, None, out, Pace(log_every=1))
        return state

    whole = go_on("whole")
    stop_after(2, monkeypatch)
    assert go_on("parts").step == 2
    monkeypatch.undo()
    parts = go_on("parts")
    assert (whole.step, parts.step) == (4, 4)
    for one, other in ((whole.model, parts.model), (whole.ema, parts.ema)):
        for name, tensor in one.state_dict().items():
            assert torch.equal(tensor, other.state_dict()[name]), name
    assert (tmp_path / "parts" / "train.csv").read_text().count("\n") == 5


def test_a_step_is_saved_when_its_figures_cannot_be_told(
    widths: Widths, sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*rest: object) -> None:
        raise BrokenPipeError("nobody reads")

    monkeypatch.setattr(loop._Log, "tell", gone)
    out = RunFolder(tmp_path / "run")
    with pytest.raises(BrokenPipeError, match="nobody reads"):
        run(DistributedState("codec", widths, SETTINGS), SETTINGS, sources, None, out, Pace())
    saved = DistributedState("codec", widths, SETTINGS)
    saved.restore(out.state)
    assert saved.step == 1


def stop_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As SIGTERM does: the loop sees it after its step."""

    def counted(state: DistributedState, *rest: object) -> tuple[float, float, float]:
        found = train_step(state, *rest)  # type: ignore[arg-type]
        if state.step == steps:
            signal.raise_signal(signal.SIGTERM)
        return found

    monkeypatch.setattr(loop, "train_step", counted)


def test_dwsic_and_dsin_begin_with_the_codec_and_shipped_weights_show_the_same(
    widths: Widths, sources: Sources, pairs: Tensor, tmp_path: Path
) -> None:
    start, small = DistributedState("codec", widths, SETTINGS), pairs[:, :, :, :32, :64].float() / 255
    start.start_from_pictures(pairs.float() / 255)
    out = RunFolder(tmp_path / "codec")
    out.describe({"system": "codec", "settings": {"seed": 1}})
    run(start, SETTINGS, sources, None, out, Pace())
    systems: tuple[System, ...] = ("dwsic", "dsin")
    for system in systems:
        state = DistributedState(system, widths, SETTINGS)
        before = state.start_from(out.state)
        assert (before["from"], before["step"]) == ("codec", 4)
        for name, tensor in start.ema.state_dict().items():
            mine = state.model.state_dict()[f"codec.{name}"]
            assert torch.equal(mine[: len(tensor)], tensor), name
        folder = RunFolder(tmp_path / system)
        folder.describe({"system": system, "settings": {"seed": 1}, "before": before})
        run(state, SETTINGS, sources, small, folder, Pace(val_every=4))
        ship(ship_parser().parse_args(["--run", str(folder.path), "--out", str(tmp_path / "out")]))
        shipped = load(tmp_path / "out" / f"{system}.safetensors")
        assert shipped.system == system
        assert "| dwsic | 4 |" in (tmp_path / "out" / "dwsic.md").read_text()
        kept, full = (rate_distortion_table(m, small) for m in (shipped.model, state.ema))
        assert kept == pytest.approx(full, rel=0.01)  # float16
    assert not hasattr(shipped.model, "private")


def test_a_rate_level_of_its_own_begins_where_the_levels_of_another_run_meet_it(
    widths: Widths, pairs: Tensor, tmp_path: Path
) -> None:
    """Lambdas 1e-4, 1e-3, 1e-2 -> 1e-3 alone: the steps are those of the middle level."""
    before = DistributedState("codec", widths, SETTINGS)
    earlier: Any = before.ema
    with torch.no_grad():
        earlier.bottleneck.log_steps.normal_()
    RunFolder(tmp_path).describe({"settings": {}})
    before.save(tmp_path / "state.pt", {})
    single = DistributedState("codec", dataclasses.replace(widths, lambdas=(1e-3,)), SETTINGS)
    single.start_from(tmp_path / "state.pt")
    torch.testing.assert_close(single.model.bottleneck.log_steps, earlier.bottleneck.log_steps[1:2])


def test_a_right_view_is_mirrored_with_its_neighbour(pairs: Tensor) -> None:
    own, other = both_ways(pairs)
    assert torch.equal(own[3:].flip(-1), pairs[:, 1])
    assert torch.equal(other[3:].flip(-1), pairs[:, 0])


def test_the_loss_of_dwsic_has_all_its_terms(widths: Widths, pairs: Tensor) -> None:
    """Each weight moves it, and what is for the other view's sake is missing without that weight."""

    def loss(alpha: float, beta: float) -> float:
        settings = dataclasses.replace(SETTINGS, alpha=alpha, beta=beta, half_precision=False)
        state = DistributedState("dwsic", widths, settings)
        state.start_from_pictures(pairs.float() / 255)
        return train_step(state, settings, pairs)[0]

    none, other, common = loss(0, 0), loss(1, 0), loss(0, 1)
    assert other > none
    assert common > none
    assert loss(1, 1) == pytest.approx(other + common - none, rel=1e-4)


def test_only_the_fusion_of_dsin_moves(widths: Widths, pairs: Tensor) -> None:
    state = DistributedState("dsin", widths, SETTINGS)
    before = {name: tensor.clone() for name, tensor in state.model.state_dict().items()}
    train_step(state, SETTINGS, pairs)
    moved = {name for name, tensor in state.model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved
    assert all(name.startswith("fusion.") for name in moved)
    assert isinstance(DistributedState("dwsic", widths, SETTINGS).model, Dwsic)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--system", "dsin"], "--system dsin trains the fusion alone: give --init, a run of --system codec"),
        (["--system", "codec", "--lambda", "2", "1"], "--lambda is (2.0, 1.0); it must be above 0, and rise"),
        (["--system", "codec", "--steps", "0"], "--steps is 0; it must be at least 1"),
        (["--system", "dwsic", "--init", "nowhere"], "--init nowhere: nowhere is no training: it has no state.pt"),
    ],
)
def test_what_cannot_be_is_one_line(
    words: list[str], line: str, sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "read_pictures", lambda *_: TrainingPictures(sources, None, [], []))
    few = ["--widths", "2", "2", "2", "2", "--out", str(tmp_path)]
    with pytest.raises(UserError) as told:
        train.main(train.parser().parse_args([*words, *few]))
    assert str(told.value) == line


def test_the_command_trains_resumes_and_refuses(
    sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "read_pictures", lambda *_: TrainingPictures(sources, None, [], []))
    words = ["--system", "codec", "--widths", "2", "2", "2", "4", "--out", str(tmp_path / "run"), "--patches", "2"]

    def command(*more: str) -> None:
        train.main(train.parser().parse_args([*words, *more]))

    command("--steps", "2", "--whole-share", "0")
    with pytest.raises(UserError, match="is there already: add --resume"):
        command("--steps", "3")
    with pytest.raises(UserError, match="was made with other --system, --lambda or widths"):
        command("--steps", "3", "--resume", "--lambda", "1e-3")
    command("--steps", "3", "--resume", "--log-every", "1", "--whole-share", "0")
    assert [line.split(",")[0] for line in (tmp_path / "run" / "train.csv").read_text().splitlines()][-1] == "3"
    (tmp_path / "run" / "state.pt").write_bytes(b"broken")
    with pytest.raises(UserError, match=r"is not a saved training of jscc\.distributed, or damaged"):
        command("--steps", "4", "--resume")
