"""Every library that the code imports, also deep in a function, is declared by the extra that the code belongs to.

`.ci/extras` installs each extra from a wheel and starts it; this finds in a second what that finds in two minutes, and
the imports that only a rare command reaches.
"""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

import vergence

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CENTER = ("center/*.py", "center/decode", "center/ingest", "center/output", "center/web")
CODE = {
    "edge": ("wire", "edge"),
    "emulator": ("wire", "channel_emulator"),
    "center": ("wire", *CENTER),
    "record": ("wire", "center"),
    "edge,center": ("deploy",),
    "openvino": ("wire", *CENTER),
    "ray": ("wire", *CENTER, "deploy/ray/application.py"),
    "certs": ("wire/security", "deploy/local/authority.py", "deploy/local/certs.py"),
    "gpu": ("wire", *CENTER, "jscc/model", "jscc/train/cuda_graph.py"),
    "train": (
        "wire",
        "jscc/model",
        "jscc/data",
        "jscc/train",
        "jscc/distributed",
        "jscc/release",
        "jscc/ablation",
        "jscc/*.py",
    ),
    "evaluate": ("wire", "jscc/model", "jscc/data", "jscc/distributed", "jscc/evaluate"),
    "dev": ("wire", "edge", "channel_emulator", "center", "deploy", "jscc", "proto", "tests", "benchmarks/peers/*.py"),
}
# What a module imports that belongs to more than one extra, and what it does without; each is told to the user.
ELSEWHERE = {
    **{
        (extra, "pydantic_core"): "the other half of pydantic, which pins it"
        for extra in CODE
        if extra not in ("edge,center", "certs")
    },
    ("edge,center", "cryptography"): "the certs extra, for one command",
    ("center", "torch"): "the engine of the gpu extra",
    ("record", "torch"): "see above",
    ("openvino", "torch"): "see above",
    ("edge,center", "torch"): "the memory of the engine of the gpu extra",
    ("center", "openvino"): "the engine of the openvino extra",
    ("center", "ray"): "the engine of the ray extra",
    ("record", "ray"): "see above",
    ("openvino", "ray"): "see above",
    ("gpu", "ray"): "see above",
    ("edge,center", "ray"): "the application and the drill of the ray extra",
    ("dev", "ray"): "see above; their tests skip where it is missing",
    ("ray", "torch"): "the engine of the gpu extra",
    ("ray", "openvino"): "the engine of the openvino extra",
    ("ray", "cv2"): "wire.crop is for who reads pictures",
    ("record", "openvino"): "see above",
    ("gpu", "openvino"): "see above",
    ("record", "cv2"): "wire.crop is for who reads pictures",
    ("evaluate", "pyarrow"): "a Parquet file beside results.csv, only where it is installed",
    ("dev", "pyarrow"): "see above",
    ("emulator", "onnxruntime"): "wire.codec is for edges and centers",
    ("emulator", "PIL"): "wire.pictures is for who reads pictures",
    ("emulator", "cv2"): "wire.crop is for who reads pictures",
    ("center", "cv2"): "wire.crop is for who reads pictures",
    ("openvino", "cv2"): "wire.crop is for who reads pictures",
    ("gpu", "cv2"): "wire.crop is for who reads pictures",
    ("dev", "gi"): "an RTSP server of the system's packages; its tests skip where it is missing",
    ("train", "onnxruntime"): "wire.codec is for edges and centers",
    ("evaluate", "onnxruntime"): "wire.codec is for edges and centers",
}
FOR_DEVELOPERS = ROOT / "deploy" / "observe"


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(extra: str) -> set[str]:
    """Distributions that the extra names, also through others."""
    found, pending = set[str](), [*PROJECT["dependencies"], f"vergence[{extra}]"]
    while pending:
        line = pending.pop()
        if inner := re.fullmatch(r"vergence\[(.+)\]", line):
            pending += [each for name in inner[1].split(",") for each in PROJECT["optional-dependencies"][name]]
        else:
            found.add(normal(re.split(r"[^\w.-]", line)[0]))
    return found


def imported(code: tuple[str, ...]) -> dict[str, Path]:
    """Top-level names of the libraries that the code imports anywhere, each with one file that does."""
    found: dict[str, Path] = {}
    ours = {
        *vergence.PACKAGES,
        "vergence",
        "tests",
        "benchmarks",
        *(path.stem for path in (ROOT / "tests").rglob("*.py")),
    }
    for part in code:
        files = ROOT.glob(part) if part.endswith(".py") else (ROOT / part).rglob("*.py")
        for path in files:
            if FOR_DEVELOPERS in path.parents and code != CODE["dev"]:
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names = [node.module]
                found |= {name.partition(".")[0]: path for name in names}
    return {name: path for name, path in found.items() if name not in ours | sys.stdlib_module_names}


@pytest.mark.parametrize("extra", CODE)
def test_what_the_code_imports_is_declared(extra: str) -> None:
    providers = packages_distributions()
    undeclared = {
        name: path.relative_to(ROOT).as_posix()
        for name, path in imported(CODE[extra]).items()
        if (extra, name) not in ELSEWHERE
        and not {normal(each) for each in providers.get(name, [name])} & declared(extra)
    }
    assert not undeclared


def test_every_exception_is_one() -> None:
    for extra, name in ELSEWHERE:
        assert name in imported(CODE[extra])
        assert name not in declared(extra)
