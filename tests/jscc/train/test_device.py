"""Which device a training runs on; several GPUs are made up."""

from types import SimpleNamespace

import pytest
import torch

from jscc.train.__main__ import read_device


@pytest.fixture
def current(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    """Two GPUs, and which of them was made the current one."""
    made: list[torch.device] = []

    def empty(size: int, device: str) -> SimpleNamespace:
        if torch.device(device).index not in (None, 0, 1):
            raise RuntimeError("CUDA error: invalid device ordinal\nand more")
        return SimpleNamespace(device=torch.device(device))

    monkeypatch.setattr(torch, "empty", empty)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", made.append)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    return made


@pytest.mark.parametrize(
    ("name", "local_rank", "wanted"),
    [
        (None, None, "cuda:0"),
        (None, "1", "cuda:1"),
        ("cuda", None, "cuda:0"),
        ("cuda", "1", "cuda:1"),
        ("cuda:1", None, "cuda:1"),
        ("cuda:1", "0", "cuda:1"),
    ],
)
def test_a_gpu_is_made_the_current_one_of_each_process(
    current: list[torch.device],
    monkeypatch: pytest.MonkeyPatch,
    name: str | None,
    local_rank: str | None,
    wanted: str,
) -> None:
    if local_rank is not None:
        monkeypatch.setenv("LOCAL_RANK", local_rank)
    assert read_device(name) == torch.device(wanted)
    assert current == [torch.device(wanted)]


def test_a_cpu_is_nobodys_current_device(current: list[torch.device]) -> None:
    assert read_device("cpu") == torch.device("cpu")
    assert current == []


def test_more_processes_than_gpus_are_named(current: list[torch.device], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ValueError, match=r"--device cuda:2 cannot be used: CUDA error: invalid device ordinal$"):
        read_device("cuda")
    assert current == []
