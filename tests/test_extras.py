"""What a command imports when it starts is met by the extra that its users install.

Read from the source, since the tests run where every extra is installed. An import inside a function is not followed:
it is for what a user asks for beyond the command itself, and says then what to install.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = {"wire", "jscc", "edge", "channel_emulator", "center", "deploy"}
COMMANDS = {
    "edge": ["edge.__main__", "edge.daemon"],
    "emulator": ["channel_emulator.__main__", "channel_emulator.emulator"],
    "center": ["center.__main__", "center.service"],
    "train": ["jscc.train.__main__", "jscc.ablation.__main__", "jscc.kitti", "jscc.curves", "jscc.export", "jscc.ship"],
    "evaluate": ["jscc.evaluate.__main__", "jscc.evaluate.report.claims"],
}
"""By extra; of services also the module that `run` imports."""
DISTRIBUTIONS = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "google": "protobuf",
    "grpc": "grpcio",
    "grpc_health": "grpcio-health-checking",
    "grpc_reflection": "grpcio-reflection",
    "pydantic_core": "pydantic",
    "sionna": "sionna-no-rt",
    "yaml": "pyyaml",
}
"""Of imported packages that are called otherwise than their distributions."""


def requirements(extra: str) -> set[str]:
    """Names of the distributions that `pip install 'vergence[EXTRA]'` is certain to install."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"][extra]]
    found = {re.split(r"[<>=!~; ]", line)[0].lower() for line in lines}
    for line in sorted(found):
        if match := re.fullmatch(r"vergence\[(.+)\]", line):
            found |= {name for part in match[1].split(",") for name in requirements(part)}
    return found


def distribution(module: str) -> str:
    top = module.partition(".")[0]
    return DISTRIBUTIONS.get(top, top.replace("_", "-").lower())


@lru_cache
def tree(module: str) -> tuple[str, ast.Module] | None:
    """(package, syntax tree) of one of our modules; None if there is none of that name."""
    path = ROOT.joinpath(*module.split("."))
    for file, package in ((path.with_suffix(".py"), module.rpartition(".")[0]), (path / "__init__.py", module)):
        if file.is_file():
            return package, ast.parse(file.read_text())
    return None


def at_import(body: list[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """Imports that run when the module is imported: not those of functions and not those for type checkers alone."""
    for statement in body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            yield statement
        elif isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.dump(statement.test):
            yield from at_import(statement.orelse)
        elif not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            for part in ("body", "orelse", "finalbody"):
                yield from at_import(getattr(statement, part, []))


def reached(start: str) -> dict[str, str]:
    """Every module outside the standard library that importing `start` imports, and the module of ours that does."""
    waiting, seen, outside = [start], set(), {}
    while waiting:
        name = waiting.pop()
        parents = [name[:end] for end in (match.start() for match in re.finditer(r"\.", name))]
        for module in (name, *parents):
            if module in seen or (found := tree(module)) is None:
                continue
            seen.add(module)
            for statement in at_import(found[1].body):
                names = [alias.name for alias in statement.names]
                if isinstance(statement, ast.ImportFrom):
                    assert statement.level == 0, f"{module} has a relative import, which this test does not follow"
                    names = [statement.module or "", *(f"{statement.module}.{name}" for name in names)]
                for imported in names:
                    top = imported.partition(".")[0]
                    if top in OURS:
                        waiting.append(imported)
                    elif top not in sys.stdlib_module_names:
                        outside.setdefault(top, module)
    return outside


@pytest.mark.parametrize(
    ("extra", "command"), [(extra, command) for extra, commands in COMMANDS.items() for command in commands]
)
def test_an_extra_has_all_that_its_commands_import(extra: str, command: str) -> None:
    found = reached(command)
    missing = {module: by for module, by in found.items() if distribution(module) not in requirements(extra)}
    assert not missing, f"pip install 'vergence[{extra}]' cannot start {command}: {missing}"


def test_the_walk_sees_what_a_service_imports() -> None:
    assert {"numpy", "grpc", "starlette", "uvicorn", "prometheus_client"} <= reached("center.service").keys()
    assert {"torch", "safetensors", "cv2"} <= reached("jscc.train.__main__").keys()


@pytest.mark.parametrize("package", ["evaluate", "train"])
def test_a_message_names_an_extra_that_has_what_is_missing(package: str) -> None:
    """`require("av", ...)` ends in a line that says which extra to install: that one must have it."""
    calls = [
        node
        for path in (ROOT / "jscc").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "require"
    ]
    assert len(calls) >= 5
    modules: dict[str, set[str]] = {"evaluate": set(), "train": set()}
    for call in calls:
        named = {word.arg: word.value for word in call.keywords}
        extra = ast.literal_eval(named["extra"]) if "extra" in named else "evaluate"
        modules[extra].add(ast.literal_eval(call.args[0]))
    needed = {distribution(module) for module in modules[package] if module.partition(".")[0] not in OURS}
    assert needed
    assert needed <= requirements(package)
