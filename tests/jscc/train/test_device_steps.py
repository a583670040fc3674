"""Steps on one device, run on the CPU: the same function that a GPU captures."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from jscc.data.batches import Sources, batch, read_sources
from jscc.data.pack import write_pack
from jscc.data.picture_store import PictureStore
from jscc.model.config import preset
from jscc.train import device_steps
from jscc.train.__main__ import main
from jscc.train.device_steps import DeviceSteps, Inputs
from jscc.train.loss import pair_loss
from jscc.train.settings import TrainSettings
from jscc.train.state import TrainState, new_model, read_ema
from jscc.train.step import Diverged, train_step

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def sources(picture_folders: tuple[Path, Path]) -> Sources:
    return read_sources([picture_folders[0]], [picture_folders[1]])


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory, picture_folders: tuple[Path, Path]) -> Path:
    path = tmp_path_factory.mktemp("pack") / "pack.bin"
    write_pack(path, [picture_folders[0]], [picture_folders[1]], None, rows=256, limit=10**7, quality=90)
    return path


def train(out: Path, pack: Path, *more: str) -> dict[str, torch.Tensor]:
    fixed = ["--preset", "tiny", "--pack", str(pack), "--out", str(out), "--device", "cpu", "--threads", "1"]
    sizes = ["--steps", "6", "--patches", "2", "--pictures", "1", "--log-every", "2"]
    return main([*fixed, *sizes, *more]).model.state_dict()


def fresh(settings: TrainSettings) -> TrainState:
    return TrainState(new_model(preset("tiny"), 1, CPU), settings.optimiser, settings.lr, settings.weight_decay)


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_an_interrupted_training_ends_with_the_same_weights(tmp_path: Path, pack: Path, optimiser: str) -> None:
    whole = train(tmp_path / "whole", pack, "--optimiser", optimiser)
    train(tmp_path / "parts", pack, "--optimiser", optimiser, "--stop-after", "3")
    parts = train(tmp_path / "parts", pack, "--optimiser", optimiser, "--resume")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    averaged = (read_ema(tmp_path / name / "state.pt")[0].state_dict() for name in ("whole", "parts"))
    assert all(torch.equal(a, b) for a, b in zip(*(d.values() for d in averaged), strict=True))


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_steps_are_those_of_the_host_on_the_same_pictures(
    sources: Sources, monkeypatch: pytest.MonkeyPatch, optimiser: str
) -> None:
    """Links and noise are equal, so weights agree but for the order of sums, and Muon's bfloat16.

    Each of the three steps moves a weight by up to about 2 lr = 2e-3; Muon's directions agree within some per cent.
    """
    settings = TrainSettings(
        steps=3, patches=2, pictures=1, whole_share=0, optimiser=optimiser, lr=1e-3, warm_up=1, half_precision=False
    )
    on_host, on_device = fresh(settings), fresh(settings)
    steps = DeviceSteps(on_device, settings, PictureStore(sources, CPU))
    for step in range(3):
        pairs = batch(sources, settings.mixture, 2, (64, 128), seed=1, step=step)
        given = torch.from_numpy(pairs).float() / 255
        monkeypatch.setattr(device_steps, "make_pairs", lambda *_, given=given: given)
        loss, quality = train_step(on_host, settings, pairs, CPU)
        steps.advance()
        means = steps.means()
        assert means is not None
        assert means == pytest.approx((loss, quality), rel=1e-3)
    for (name, host), device in zip(on_host.model.named_parameters(), on_device.model.parameters(), strict=True):
        assert float((host - device).detach().abs().max()) < (1e-3 if optimiser == "muon" else 1e-5), name
    for host, device in zip(on_host.ema.parameters(), on_device.ema.parameters(), strict=True):
        assert torch.allclose(host, device, atol=1e-3)


def test_a_run_moves_between_host_and_device(tmp_path: Path, pack: Path) -> None:
    train(tmp_path, pack, "--stop-after", "2")
    groups = [g for o in torch.load(tmp_path / "state.pt", weights_only=True)["optimisers"] for g in o["param_groups"]]
    assert all(isinstance(group["lr"], float) and not group.get("fused") for group in groups)
    train(tmp_path, pack, "--resume", "--stop-after", "2", "--pictures-on", "host")
    train(tmp_path, pack, "--resume")
    assert read_ema(tmp_path / "state.pt")[1] == 6


def test_a_step_that_is_not_finite_ends_the_run_at_the_last_good_one(
    tmp_path: Path, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path / "good", pack, "--stop-after", "2")
    good = torch.load(tmp_path / "good" / "state.pt", weights_only=True)
    calls = 0

    def spoilt(*arguments: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        loss: torch.Tensor = pair_loss(*arguments) * (float("nan") if calls == 3 else 1.0)
        return loss

    monkeypatch.setattr(device_steps, "pair_loss", spoilt)
    with pytest.raises(SystemExit, match=r"a step in 2\.\.\.3 are not finite; .* back at step 2"):
        train(tmp_path / "bad", pack)
    found = torch.load(tmp_path / "bad" / "state.pt", weights_only=True)
    assert found["step"] == 2
    for part in ("model", "ema"):
        assert all(torch.equal(found[part][name], good[part][name]) for name in good[part])
    monkeypatch.undo()
    train(tmp_path / "good", pack, "--resume")
    resumed = train(tmp_path / "bad", pack, "--resume")
    assert all(torch.equal(resumed[n], t) for n, t in read_state(tmp_path / "good").items())


def read_state(folder: Path) -> dict[str, torch.Tensor]:
    return dict(torch.load(folder / "state.pt", weights_only=True)["model"])


def test_what_is_not_verified_is_not_kept(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = TrainSettings(steps=9, patches=2, pictures=1)
    state = fresh(settings)
    steps = DeviceSteps(state, settings, PictureStore(sources, CPU))
    steps.advance()
    steps.verify()
    before = {name: tensor.clone() for name, tensor in state.model.state_dict().items()}
    monkeypatch.setattr(device_steps, "pair_loss", lambda *a: pair_loss(*a) * float("inf"))
    steps.advance()
    with pytest.raises(Diverged):
        steps.verify()
    assert state.step == 1
    assert all(torch.equal(before[name], tensor) for name, tensor in state.model.state_dict().items())


def test_measuring_leaves_no_trace(sources: Sources) -> None:
    """Also in what optimisers create at their first step."""
    from jscc.train.snapshot import Snapshot

    settings = TrainSettings(steps=9, patches=2, pictures=1)
    measured, plain = fresh(settings), fresh(settings)
    steps = [DeviceSteps(state, settings, PictureStore(sources, CPU)) for state in (measured, plain)]
    before = Snapshot(measured)
    assert steps[0].seconds_per_step(0, 0.1) > 0
    assert steps[0].seconds_per_step(8, 0.1) > 0
    before.go_back()
    steps[0].reschedule(settings)
    for each in steps:
        each.advance()
        each.advance()
    assert all(torch.equal(a, b) for a, b in zip(measured.model.parameters(), plain.model.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(measured.ema.parameters(), plain.ema.parameters(), strict=True))


class Questions(TorchDispatchMode):
    """Notes what a CUDA graph may not hold: values that come to the host, and copies between devices."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        devices = {value.device.type for value in tree_leaves((args, out)) if torch.is_tensor(value)}
        if len(devices) > 1 or "_local_scalar_dense" in str(func) or "nonzero" in str(func):
            self.found.append(f"{func} {devices}")
        return out


class Literals(TorchFunctionMode):
    """Notes numbers of Python that are sent to a device as a tensor, which `Questions` does not see."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        sends = func in (torch.Tensor.new_tensor, torch.tensor) or (
            func in (torch.as_tensor, torch.asarray) and not torch.is_tensor(args[0])
        )
        if sends:
            self.found.append(f"{func}{args}")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["tiny", "paper"])
@pytest.mark.parametrize("joint", [True, False])
def test_a_step_asks_the_host_nothing(name: str, joint: bool) -> None:
    """On a device without memory, in the place of CUDA: a graph could not be captured of a step that asks."""
    meta = torch.device("meta")
    picture = np.zeros((200, 600, 3), np.uint8)
    settings = TrainSettings(patches=3, pictures=2, half_precision=False)
    state = TrainState(new_model(preset(name, joint=joint), 1, meta), "muon", 1e-3, 0.01)
    state.optimisers.pop()  # torch's AdamW, whose fused kernel is for CPU and CUDA only
    steps = DeviceSteps(state, settings, PictureStore(Sources([(picture, picture)], [], [picture]), meta))
    for step in (0, settings.steps - 1):
        inputs = Inputs.empty(*settings.size_at(step), 20, meta)
        with Questions() as questions, Literals() as literals:
            steps.compute(inputs)
        assert questions.found == []
        assert literals.found == []
    with Questions() as questions, Literals() as literals:  # both see what they are there for
        torch.zeros(2, device=meta).new_tensor((1.0, 2.0))
        torch.zeros(2).to(meta)
        torch.zeros(()).item()
    assert len(literals.found) == 1
    assert len(questions.found) == 2


def test_ms_ssim_is_not_captured_and_a_line_says_so(sources: Sources, capsys: pytest.CaptureFixture[str]) -> None:
    """Its library asks the host in every call; here there is no CUDA that a capture could be tried with."""
    settings = TrainSettings(steps=9, patches=2, pictures=1, loss="ms-ssim", whole_share=1)
    steps = DeviceSteps(fresh(settings), settings, PictureStore(sources, CPU), graph=True)
    assert not steps.graph
    assert capsys.readouterr().out == "no CUDA graph, steps run one by one: MS-SSIM copies from the host\n"
    assert steps.seconds_per_step(0, 0.0) > 0
    others = dataclasses.replace(settings, loss="mse")
    assert DeviceSteps(fresh(others), others, PictureStore(sources, CPU), graph=True).graph
    assert not DeviceSteps(fresh(others), others, PictureStore(sources, CPU)).graph
    assert capsys.readouterr().out == ""
    with Literals() as literals:
        pair_loss(torch.rand(1, 2, 3, 128, 256), torch.rand(1, 2, 3, 128, 256), torch.ones(1, 2), "ms-ssim")
    assert literals.found, "it asks the host no more: its steps can be captured as well"


def test_the_network_compiles_as_one_graph() -> None:
    """Without the last stage, which takes minutes on a CPU."""
    torch.manual_seed(0)
    model = new_model(preset("tiny"), 1, CPU)
    inputs = Inputs.empty(2, (64, 128), 20, CPU)
    pairs = torch.rand(2, 2, 3, 64, 128)
    compiled = torch.compile(model, backend="eager", fullgraph=True, dynamic=False)
    for noise in inputs.links:
        noise.normal_()
    plain, found = (net(pairs, inputs.snr_db, inputs.fading, inputs.links) for net in (model, compiled))
    assert torch.equal(plain, found)


def test_options_that_exclude_each_other_are_named(
    tmp_path: Path, pack: Path, picture_folders: tuple[Path, Path]
) -> None:
    for more, line in (
        (["--pairs", str(picture_folders[0])], "--pack stands in the place of --pairs and --mono"),
        (["--graph", "on"], "--graph on needs a CUDA device, not cpu"),
        (["--minutes", "0"], "--minutes is 0.0; it must be above 0"),
        (["--freeze-encoder"], "--freeze-encoder needs --init"),
    ):
        with pytest.raises(SystemExit, match=line):
            train(tmp_path, pack, *more)
