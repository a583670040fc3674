"""The rules of the house: who may import whom, and how long and how short a module may be."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = ("wire", "jscc", "edge", "channel_emulator", "center", "deploy", "benchmarks")
MAY_IMPORT = {
    "wire": {"wire"},
    "jscc": {"jscc", "wire"},
    "edge": {"edge", "wire"},
    "channel_emulator": {"channel_emulator", "wire"},
    "center": {"center", "wire"},
    "deploy": set(OURS) - {"benchmarks"},
    "benchmarks": set(OURS),
}
LAZILY = {"edge": {"jscc"}, "center": {"jscc"}}
# Rooms of one house that may not know each other, dotted: the left one imports none of the right ones, also not lazily.
APART = {
    "jscc.model": ("jscc.data", "jscc.train", "jscc.evaluate", "jscc.release", "jscc.ablation"),
    "jscc.data": ("jscc.train", "jscc.evaluate", "jscc.release", "jscc.ablation"),
    "center.decode": ("center.web",),
    "center.ingest": ("center.web",),
    "center.output": ("center.web",),
    "edge.camera": ("edge.uplink",),
    "edge.encode": ("edge.uplink",),
    "channel_emulator.channel": ("channel_emulator.links", "channel_emulator.relay"),
    "wire.contract": ("wire.runtime.service", "wire.runtime.grpc_kit"),
}
LONGEST, SHORTEST = 300, 40
# Why a module is shorter; __main__.py and __init__.py are short by nature.
SHORT = {
    "benchmarks/peers/servers/plain_grpc.py": "a server of its own, as the others beside it",
    "center/web/to_json.py": "the one rule for infinities in JSON, used by three modules of the page",
    "center/steady_clock.py": "pure: the clock of the center",
    "deploy/local/leash.py": "a program of its own: what ends with its runner",
    "deploy/bench/result_file.py": "when and where figures were measured, for every benchmark that keeps them",
    "deploy/observe/marks.py": "how a part of a document is made from the code, for each that is",
    "edge/camera/framing.py": "pure, between a camera of any size and the encoder",
    "edge/camera/newest.py": "a slot for the newest frame, tested alone",
    "edge/encode/export.py": "the only place of the edge that meets torch",
    "edge/uplink/clock.py": "pure: the offset of two clocks",
    "jscc/cli.py": "how commands end, shared by all of them",
    "jscc/distributed/fusion.py": "the one network of DSIN beside the codec",
    "jscc/distributed/settings.py": "the numbers of a run; what follows from them is the schedule's",
    "jscc/evaluate/extras.py": "optional libraries, and what is said where one is missing",
    "jscc/export.py": "a command; its work is in jscc.release.onnx",
    "jscc/quality.py": "the one definition of PSNR with gradients",
    "jscc/shares.py": "the one rule for shares, of pictures and of links",
    "jscc/ship.py": "a command; its work is in jscc.release.bundle",
    "jscc/train/loss.py": "equation (3) of the paper",
    "jscc/train/precision.py": "the one question whether a device computes bfloat16, asked by four commands",
    "wire/contract/outcomes.py": "the closed sets of words of the contract",
    "wire/contract/pace.py": "pure: the pace that two services hold a stream to",
    "wire/crop.py": "the one centre crop",
    "wire/geometry.py": "the one home of the picture's and the symbols' shape",
    "wire/runtime/direct.py": "how to connect without a proxy",
    "wire/runtime/errors.py": "the errors that a user can mend; imported by all",
    "wire/runtime/files.py": "how a file is written in one move",
    "wire/runtime/periodic.py": "how background work outlives its failures",
    "wire/runtime/retry.py": "pure: how long to wait",
    "wire/runtime/samples.py": "the one reader of pages for Prometheus",
    "wire/views.py": "left and right, as words and on the wire",
}
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


def dotted(tree: ast.AST) -> set[str]:
    """Full names of the modules that a tree imports anywhere in it; of `from a import b`, a and a.b."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
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


@pytest.mark.parametrize("room", APART)
def test_rooms_stay_apart(room: str) -> None:
    files = modules(room.replace(".", "/"))
    assert files, "the room has moved: change its name here"
    for path in files:
        for name in dotted(ast.parse(path.read_text(encoding="utf-8"))):
            assert not any(name == other or name.startswith(other + ".") for other in APART[room]), f"{path}: {name}"


@pytest.mark.parametrize("package", OURS)
def test_modules_stay_readable_in_one_sitting(package: str) -> None:
    long = {path.name: lines for path in modules(package) if (lines := len(path.read_text().splitlines())) > LONGEST}
    assert not long


def owner(target: ast.expr) -> str:
    """What `a.b["c"].d` is a part of: a."""
    while isinstance(target, ast.Attribute | ast.Subscript):
        target = target.value
    return ast.unparse(target)


@pytest.mark.parametrize("package", OURS)
def test_importing_a_module_changes_nothing_outside_it(package: str) -> None:
    """No call for its effect and no assignment to something of another module, such as `os.environ`, at the top."""
    for path in modules(package):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        own = {node.name for node in body if isinstance(node, ast.ClassDef)}
        for node in body:
            where = f"{path}:{node.lineno}"
            touched: list[ast.expr] = [*getattr(node, "targets", [])]
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                touched = [node.value.func]
            outer = [owner(target) for target in touched if isinstance(target, ast.Attribute | ast.Subscript)]
            outer += [target.id for target in touched if isinstance(node, ast.Expr) and isinstance(target, ast.Name)]
            assert not set(outer) - own, where


@pytest.mark.parametrize("package", OURS)
def test_a_module_is_worth_opening(package: str) -> None:
    short = {
        path.relative_to(ROOT).as_posix(): lines
        for path in modules(package)
        if (lines := len(path.read_text().splitlines())) < SHORTEST and not path.name.startswith("__")
    }
    assert not short.keys() - SHORT.keys(), "merge it with its neighbour, or say why it stands alone"


@pytest.mark.parametrize(
    ("library", "home"),
    [("onnxruntime", "wire/codec.py"), ("openvino", "center/decode/engines/openvino_engine.py")],
)
def test_a_library_that_reports_is_imported_in_one_place(library: str, home: str) -> None:
    """The one that turns its telemetry off first."""
    importers = [
        path.relative_to(ROOT).as_posix()
        for package in OURS
        for path in modules(package)
        if library in eager(ast.parse(path.read_text(encoding="utf-8")))
        or re.search(rf"^ +import {library}", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert importers == [home]
