"""DSIN and DWSIC on the bench, with networks of a few channels as a training begins with."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from jscc.distributed.codec import System as SystemName
from jscc.distributed.codec import Widths
from jscc.distributed.settings import DistributedSettings
from jscc.distributed.state import DistributedState
from jscc.distributed.weights import load, save
from jscc.evaluate.coding.capacity import budget_bytes
from jscc.evaluate.report.networks import of_side_information, parameters
from jscc.evaluate.systems import side_information
from jscc.evaluate.systems.base import Pair
from jscc.evaluate.systems.registry import expand
from jscc.evaluate.systems.separate import mean_colour
from jscc.evaluate.systems.side_information import SideInformationSystem
from jscc.train.run_folder import RunFolder
from wire import units
from wire.quality import psnr
from wire.runtime.errors import UserError

TINY = Widths(main=(16, 4, 6, 24), private=(2, 2, 3, 4), fusion=4, lambdas=(1e-4, 1e-2))
NOISE = np.random.default_rng(0)


@pytest.fixture
def shipped(pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of the shipped weights, with tiny ones of both systems."""
    systems: tuple[SystemName, ...] = ("dsin", "dwsic")
    for system in systems:
        state = DistributedState(system, TINY, DistributedSettings())
        state.start_from_pictures(torch.from_numpy(pair.views.copy())[None].float() / 255)
        folder = RunFolder(tmp_path / system)
        folder.describe({"system": system, "settings": {}})
        state.save(folder.state, dataclasses.asdict(DistributedSettings()))
        save(tmp_path / f"{system}.safetensors", folder.path)
    side_information._trained.cache_clear()
    monkeypatch.setattr(side_information, "shipped", lambda system: tmp_path / f"{system}.safetensors")
    return tmp_path


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize("name", ["dsin-capacity", "dwsic-capacity"])
def test_the_largest_file_within_the_budget_arrives(name: str, pair: Pair) -> None:
    system = SideInformationSystem.load(name)
    assert system.deltas == (units.NOISELESS,)
    levels = []
    for snr in (-2.0, 2.0):
        left = system.transmit(pair, snr, units.NOISELESS, "awgn", NOISE)
        right = system.transmit(pair, units.NOISELESS, snr, "awgn", NOISE)
        assert left.bytes is not None
        assert right.bytes is not None
        budget = budget_bytes(snr, "awgn")
        for size in (left.bytes[0], right.bytes[1]):
            assert 0.8 * budget < size <= budget
        assert (left.bytes[1], right.bytes[0]) == (0, 0)
        assert np.array_equal(left.pictures[1], pair.truth[1])
        levels.append((psnr(left.pictures[0], pair.truth[0]), psnr(right.pictures[1], pair.truth[1])))
    assert min(levels[1]) > 18
    assert all(more > less for less, more in zip(*levels, strict=True))


@pytest.mark.usefixtures("shipped")
def test_a_view_whose_smallest_file_is_too_large_is_its_mean_colour(pair: Pair) -> None:
    system = SideInformationSystem.load("dwsic-capacity")
    sent = system.transmit(pair, -30.0, units.NOISELESS, "awgn", NOISE)
    assert np.array_equal(sent.pictures[0], mean_colour(pair.views[0]))
    assert sent.bytes == (0, 0)


@pytest.mark.usefixtures("shipped")
def test_another_pair_of_the_same_name_is_not_the_one_remembered(pair: Pair) -> None:
    system = SideInformationSystem.load("dsin-capacity")
    first = system.transmit(pair, 4.0, units.NOISELESS, "awgn", NOISE)
    other = Pair(pair.name, np.ascontiguousarray(pair.views[:, :, ::-1]))
    second = system.transmit(other, 4.0, units.NOISELESS, "awgn", NOISE)
    assert psnr(second.pictures[0], other.truth[0]) > psnr(first.pictures[0], other.truth[0]) + 3


def test_weights_that_are_missing_or_of_the_other_system_are_one_line(shipped: Path) -> None:
    (shipped / "dsin.safetensors").write_bytes((shipped / "dwsic.safetensors").read_bytes())
    with pytest.raises(UserError, match=r"^dsin-capacity cannot use its weights: .* holds a dwsic; see docs/"):
        SideInformationSystem.load("dsin-capacity")
    (shipped / "dwsic.safetensors").write_bytes(b"nonsense")
    with pytest.raises(UserError, match=r"is not a safetensors file"):
        SideInformationSystem.load("dwsic-capacity")
    (shipped / "dwsic.safetensors").unlink()
    with pytest.raises(UserError, match=r"^dwsic-capacity cannot use its weights: no weights file "):
        SideInformationSystem.load("dwsic-capacity")


@pytest.mark.usefixtures("shipped")
def test_the_registry_knows_them() -> None:
    (entry,) = expand(["dwsic-capacity"])
    assert entry.name == "dwsic-capacity"
    assert {"dsin-capacity", "dwsic-capacity"} <= {entry.name for entry in expand(["paper"])}


def test_costs_are_counted_on_both_sides(shipped: Path) -> None:
    """DWSIC's decoder has the extractor beside the synthesis, and a bottleneck that both sides have."""
    trained = load(shipped / "dwsic.safetensors")
    cost = of_side_information(trained)
    codec: Any = trained.model.codec
    analysis, both = parameters(codec.analysis), parameters(codec.bottleneck)
    assert cost.encoder_parameters == analysis + both
    assert cost.decoder_parameters > analysis + both
    # 16x16 blocks of 3 colours to 24 channels, and the four convolutions with three GDNs.
    positions = (64 * 128, 32 * 64, 16 * 32, 8 * 16)
    macs = positions[3] * 768 * 24
    macs += positions[0] * (75 * 16 + 16 * 16) + positions[1] * (25 * 16 * 4 + 4 * 4)
    macs += positions[2] * (25 * 4 * 6 + 6 * 6) + positions[3] * 9 * 6 * 24
    assert cost.encoder_gmac == pytest.approx(macs / 1e9, rel=1e-6)
