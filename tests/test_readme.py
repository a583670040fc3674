"""What the documents tell a user to type and to open must be there; the README's blocks are executed."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import vergence
from deploy.local.stack import CONFIG, Ports, Stack, running

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "CHANGELOG.md",
        ROOT / "SECURITY.md",
        *(ROOT / "docs").rglob("*.md"),
    ]
)
VERBS = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
PROGRAMS = {
    "vergence": "deploy.local.cli",
    "vergence-edge": "edge",
    "vergence-emulator": "channel_emulator",
    "vergence-center": "center",
}


def commands() -> set[str]:
    """Every line of every unlabelled or shell code block that starts with a program of ours."""
    found: set[str] = set()
    for document in DOCUMENTS:
        for block in re.findall(r"```(?:sh|bash|console)?\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL):
            found |= {
                line.split(" #")[0].strip() for line in block.splitlines() if line.startswith(("make ", "vergence"))
            }
    return found


def test_there_are_commands_to_check() -> None:
    assert "make demo" in commands()


@pytest.mark.parametrize("line", sorted(line for line in commands() if line.startswith("make ")))
def test_every_make_verb_exists(line: str) -> None:
    verbs = [word for word in shlex.split(line)[1:] if "=" not in word]
    assert set(verbs) <= VERBS, f"{line}: the Makefile has {sorted(VERBS)}"


@pytest.mark.parametrize("line", sorted(line for line in commands() if line.startswith("vergence")))
def test_every_command_is_understood(line: str) -> None:
    program, *words = shlex.split(line)
    subcommands = [word for word in words if re.fullmatch(r"[a-z-]+", word) and not word.startswith("-")][:2]
    options = {word for word in words if word.startswith("--")}
    command = [sys.executable, "-m", PROGRAMS[program], *subcommands, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert all(option in done.stdout for option in options), f"{line}: {done.stdout}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_inside_the_repository_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"


BLOCKS = re.findall(
    r"^```(?:sh|bash|console)?\n(.*?)^```$", (ROOT / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
)


def block(start: str) -> str:
    """The only block of the README that begins so."""
    (found,) = (text for text in BLOCKS if text.startswith(start))
    return str(found)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment as `make demo` makes one, of this checkout: a folder with bin/vergence and the others."""
    made = tmp_path_factory.mktemp("environment")
    (made / "bin").mkdir()
    for name, service in {"": "local", "-edge": "edge", "-emulator": "emulator", "-center": "center"}.items():
        program = made / "bin" / f"vergence{name}"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -P {vergence.__file__} {service} "$@"\n')
        program.chmod(0o755)
    (made / ".ready").touch()
    return made


@pytest.fixture(scope="module")
def demo() -> Iterator[Stack]:
    with running(Ports.free(), print) as stack:
        yield stack


def shell(text: str, programs: Path, folder: Path) -> "subprocess.Popen[str]":
    """A block as somebody types it, in a shell that stops at what fails."""
    return subprocess.Popen(
        ["bash", "-euc", text],
        cwd=folder,
        env={**os.environ, "PATH": f"{programs / 'bin'}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def test_every_block_of_the_readme_is_executed_here() -> None:
    pictures = [text for text in BLOCKS if "─▶" in text]
    run = [block(start) for start in ("make demo", "make test", "export PATH", "curl")]
    assert sorted(BLOCKS) == sorted(run + pictures)


def test_make_demo_shows_pairs_and_ends(programs: Path) -> None:
    typed = block("make demo").strip()
    started = shell(f"{typed} DEMO={programs} ARGS='--free-ports --seconds 2'", programs, ROOT)
    told, _ = started.communicate(timeout=90)
    assert started.returncode == 0, told
    assert "both views after" in told
    assert "open http://127.0.0.1:" in told


def test_make_test_lints_and_runs_every_test(programs: Path) -> None:
    """Not run for real: this is a part of it."""
    started = shell(f"env -u MAKEFLAGS -u ARGS {block('make test').strip()} --dry-run DEV={programs}", programs, ROOT)
    told, _ = started.communicate(timeout=30)
    assert started.returncode == 0, told
    assert [line for line in told.splitlines() if line.endswith("python -m pytest -n 2 --dist loadfile ")]
    assert "bin/ruff check ." in told
    assert "bin/mypy" in told


def test_another_camera_runs_from_a_copied_file(programs: Path, demo: Stack, tmp_path: Path) -> None:
    written = yaml.safe_load((CONFIG / "edge.yaml").read_text(encoding="utf-8"))
    written |= {"rig": "mine", "camera": {"kind": "synthetic"}, "metrics": {"port": 0}}
    written["link"]["address"] = f"127.0.0.1:{demo.ports.emulator}"
    written["reference"]["address"] = f"127.0.0.1:{demo.ports.center}"
    (tmp_path / "my-camera.yaml").write_text(yaml.safe_dump(written), encoding="utf-8")
    started = shell(block("export PATH"), programs, tmp_path)
    assert started.stdout is not None
    told = []
    try:
        for line in started.stdout:  # the test's time limit ends a wait for nothing
            told.append(line)
            if "mine/left: connected to" in line:
                break
    finally:
        os.killpg(started.pid, signal.SIGINT)
        started.communicate(timeout=20)
    assert told[0] == "my-camera.yaml: ok\n"
    assert "connected" in told[-1], told


def test_the_page_s_address_changes_a_link(programs: Path, demo: Stack, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed; where it is, the README's call is made")
    typed = block("curl").replace("127.0.0.1:8080", f"127.0.0.1:{demo.ports.page}").replace("curl", "curl --fail -sS")
    started = shell(typed, programs, tmp_path)
    told, _ = started.communicate(timeout=20)
    assert started.returncode == 0, told
    assert '"snr_db":-2' in told.replace(" ", "")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_module_that_is_named_is_there(document: Path) -> None:
    for named in re.findall(r"`((?:[a-z_]+/)+[a-z_0-9]+\.py)`", document.read_text(encoding="utf-8")):
        assert (ROOT / named).exists() or (document.parent / named).exists(), f"{document.name} names {named}"
