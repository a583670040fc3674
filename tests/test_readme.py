"""What the documents tell a user to type and to open must be there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
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
