"""What a wheel holds, which version it is, and what the commands say where somebody else's package is in their way."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

import vergence

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOR_DEVELOPERS = {"deploy.observe"}
COMMANDS = {"vergence-edge": "edge", "vergence-emulator": "emulator", "vergence-center": "center", "vergence": "local"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of a clean copy: what lies about in a work tree does not come along."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if tracked.returncode != 0:
        pytest.skip("this is no git checkout; from one, the wheel is built and looked into")
    for name in tracked.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file() and not name.startswith(("tests/", "docs/")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(out), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (made,) = out.glob("*.whl")
    return zipfile.ZipFile(made)


def folders() -> set[str]:
    """Every package of the tree, dotted."""
    found = (path.parent.relative_to(ROOT) for name in vergence.PACKAGES for path in (ROOT / name).rglob("__init__.py"))
    return {".".join(folder.parts) for folder in found}


def test_the_list_of_packages_is_exact() -> None:
    listed = PYPROJECT["tool"]["setuptools"]["packages"]
    assert len(set(listed)) == len(listed)
    assert set(listed) == folders() - FOR_DEVELOPERS


def test_the_wheel_holds_what_users_run_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    for name in vergence.PACKAGES:
        assert f"{name}/py.typed" in names
    for shipped in ("center/web/page/index.html", "deploy/config/center.yaml", "jscc/weights/small-joint/encoder.onnx"):
        assert shipped in names
    assert sum(name.startswith("deploy/local/footage/") for name in names) == 43
    inside = {name.partition("/")[0] for name in names}
    version = PYPROJECT["project"]["version"]
    assert inside == {*vergence.PACKAGES, "vergence.py", f"vergence-{version}.dist-info"}
    tools = ("deploy/observe", "deploy/docker", "deploy/systemd", "deploy/grafana", "wire/generate")
    assert not [name for name in names if name.startswith(tools)]


def test_the_wheel_says_both_licences_and_holds_their_text(wheel: zipfile.ZipFile) -> None:
    folder = f"vergence-{PYPROJECT['project']['version']}.dist-info"
    told = wheel.read(f"{folder}/METADATA").decode()
    assert "License-Expression: Apache-2.0 AND CC-BY-NC-SA-3.0\n" in told
    assert b"Apache License" in wheel.read(f"{folder}/licenses/LICENSE")
    creative = wheel.read(f"{folder}/licenses/LICENSES/CC-BY-NC-SA-3.0.txt").decode()
    assert [f"\n{number}. " in creative for number in range(1, 9)] == [True] * 8
    assert creative.rstrip().endswith("creativecommons.org/.")


def test_a_command_tells_its_version(tmp_path: Path) -> None:
    done = run("vergence-edge", "--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"vergence-edge {vergence.version()}\n")


def test_the_version_is_one() -> None:
    version = PYPROJECT["project"]["version"]
    environment = (ROOT / ".env").read_text()
    assert re.findall(r"^VERGENCE_VERSION=(.*)$", environment, re.MULTILINE) == [version]
    kustomization = yaml.safe_load((ROOT / "deploy" / "kubernetes" / "kustomization.yaml").read_text())
    assert [image["newTag"] for image in kustomization["images"]] == [version]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## \[?(\d[^\]\s]*)", changes, re.MULTILINE)[0] == version


def run(command: str, *words: str, cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """As the console script does it: a program elsewhere that imports `vergence` from Python's path."""
    code = f"import sys, vergence; sys.argv[0] = '{command}'; sys.exit(vergence.{COMMANDS[command]}())"
    return subprocess.run(
        [sys.executable, "-P", "-c", code, *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [path, ROOT] if path else [ROOT]))},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["wire", "center"])
def test_a_command_names_the_package_that_is_in_its_way(command: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    foreign = tmp_path / name / "__init__.py"
    foreign.write_text("raise SystemExit('the wrong one was imported')")
    done = run(command, "--help", cwd=tmp_path, path=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(
        f"{command}: error: the name '{name}' leads to another package, {foreign}, and not to"
    )
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_a_module_in_the_folder_where_a_command_is_typed_is_not_its_business(command: str, tmp_path: Path) -> None:
    (tmp_path / "center.py").write_text("raise SystemExit('the wrong one was imported')")
    done = run(command, "--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert command in done.stdout


@pytest.mark.parametrize("service", ["edge", "emulator", "center"])
def test_the_demo_s_services_start_from_a_checkout_that_is_not_installed(service: str, tmp_path: Path) -> None:
    (tmp_path / "wire.py").write_text("raise SystemExit('the wrong one was imported')")
    command = [sys.executable, "-P", vergence.__file__, service, "check-config"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "defaults: ok\n"), done.stderr
