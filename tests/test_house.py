"""The rules of the house: who may import whom, and how long a module may grow."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = ("wire", "jscc", "edge", "channel_emulator", "center", "deploy")
MAY_IMPORT = {
    "wire": {"wire"},
    "jscc": {"jscc", "wire"},
    "edge": {"edge", "wire"},
    "channel_emulator": {"channel_emulator", "wire"},
    "center": {"center", "wire"},
    "deploy": set(OURS),
}
LAZILY = {"edge": {"jscc"}, "center": {"jscc"}}
HEAVY = {"torch", "onnx", "onnxscript", "matplotlib", "pytorch_msssim", "safetensors"}


def modules(package: str) -> list[Path]:
    return [path for path in sorted((ROOT / package).rglob("*.py")) if "wire/v1" not in path.as_posix()]


def imports(tree: ast.AST) -> set[str]:
    """Top-level names that a tree imports anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


def eager(tree: ast.Module) -> set[str]:
    """As `imports`, without what stands inside functions or under TYPE_CHECKING."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= imports(node)
    return names


@pytest.mark.parametrize("package", OURS)
def test_imports_point_inwards(package: str) -> None:
    for path in modules(package):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        allowed = MAY_IMPORT[package]
        assert eager(tree) & set(OURS) <= allowed, path
        assert imports(tree) & set(OURS) <= allowed | LAZILY.get(package, set()), path


@pytest.mark.parametrize("package", ["wire", "edge", "channel_emulator", "center", "deploy"])
def test_services_start_without_heavy_libraries(package: str) -> None:
    for path in modules(package):
        assert not eager(ast.parse(path.read_text(encoding="utf-8"))) & HEAVY, path


@pytest.mark.parametrize("package", OURS)
def test_modules_stay_readable_in_one_sitting(package: str) -> None:
    long = {path.name: lines for path in modules(package) if (lines := len(path.read_text().splitlines())) > 300}
    assert not long


def test_onnxruntime_is_imported_in_one_place() -> None:
    """The one that turns its telemetry off first."""
    importers = [
        path.relative_to(ROOT).as_posix()
        for package in OURS
        for path in modules(package)
        if "onnxruntime" in eager(ast.parse(path.read_text(encoding="utf-8")))
        or re.search(r"^ +import onnxruntime", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert importers == ["wire/codec.py"]
