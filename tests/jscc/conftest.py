"""Small codecs and their ONNX files, made once for all tests of this folder."""

import fcntl
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from jscc.model.checkpoint import rounded, save_weights  # noqa: E402
from jscc.model.codec import Codec, JointCodec, load  # noqa: E402
from jscc.model.config import preset  # noqa: E402
from jscc.release.onnx import export  # noqa: E402
from jscc.train.__main__ import main  # noqa: E402
from wire.codec import WEIGHTS_FILE  # noqa: E402
from wire.codec_manifest import MANIFEST_FILE  # noqa: E402

torch.set_num_threads(1)


def livened(model: JointCodec, seed: int = 5) -> JointCodec:
    """Random weights where training would start from zero or near it, so that every part takes part in the result."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if float(parameter.abs().max()) < 0.02:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model.safetensors, encoder.onnx and decoder.onnx of a tiny joint codec.

    One for all workers of a run: to trace a graph with free sizes takes most of a minute.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "tiny-codec"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / MANIFEST_FILE).exists():  # written last
            folder.mkdir(exist_ok=True)
            torch.manual_seed(3)
            model = livened(JointCodec(preset("tiny")))
            save_weights(folder / WEIGHTS_FILE, model.config, rounded(model), {"preset": "tiny"})
            export(folder / WEIGHTS_FILE, folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> Codec:
    """The same codec in torch."""
    return load(tiny_folder)


@pytest.fixture(scope="session")
def picture_folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of four pairs (left/, right/; the fourth is grey) and one of two single pictures."""
    import cv2

    rng = np.random.default_rng(1)
    root = tmp_path_factory.mktemp("pictures")
    pairs, mono = root / "pairs", root / "mono"
    for folder in (pairs / "left", pairs / "right", mono):
        folder.mkdir(parents=True)
    for index in range(6):
        coarse = rng.integers(0, 256, (16, 48, 3), dtype=np.uint8)
        if index == 3:
            coarse[:] = coarse[..., :1]
        scene = cv2.resize(coarse, (620, 200), interpolation=cv2.INTER_CUBIC)
        if index < 4:
            cv2.imwrite(str(pairs / "left" / f"{index}.png"), scene[:, :600])
            cv2.imwrite(str(pairs / "right" / f"{index}.png"), scene[:, 10:610])
        else:
            cv2.imwrite(str(mono / f"{index}.png"), scene)
    return pairs, mono


def train(out: Path, folders: tuple[Path, Path], *more: str) -> dict[str, Any]:
    pairs, mono = folders
    arguments = ["--preset", "tiny", "--pairs", str(pairs), "--mono", str(mono), "--out", str(out)]
    arguments += [
        "--steps",
        "6",
        "--patches",
        "2",
        "--pictures",
        "1",
        "--log-every",
        "2",
        "--threads",
        "1",
        "--device",
        "cpu",
    ]
    return main([*arguments, *more]).model.state_dict()


def refusal(out: Path, folders: tuple[Path, Path], *more: str) -> str:
    """The one line that a training ends with before it begins."""
    with pytest.raises(SystemExit) as caught:
        train(out, folders, *more)
    message = str(caught.value)
    assert message.startswith("python -m jscc.train: ")
    assert "\n" not in message
    return message
