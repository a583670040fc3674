"""`.ci/audit` fails for a known vulnerability, and never calls safe what nobody has looked up."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
SAFE: dict[str, Any] = {"name": "safe", "version": "1.0", "vulns": []}
WRONG: dict[str, Any] = {
    "name": "wrong",
    "version": "2.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}, {"id": "PYSEC-2", "fix_versions": []}],
}
UNKNOWN: dict[str, Any] = {"name": "unknown", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("printed", "code", "told"),
    [
        ([SAFE, SAFE], 0, ["0 of 2 libraries have known vulnerabilities\n"]),
        ([SAFE, UNKNOWN], 0, ["0 of 1 libraries have known vulnerabilities; 1 could not be looked up\n"]),
        (
            [SAFE, WRONG],
            1,
            ["wrong 2.0: PYSEC-1; mended in 2.1\n", "PYSEC-2; mended in no version yet\n", "1 of 2 libraries"],
        ),
        ([UNKNOWN, UNKNOWN], 0, ["knows none of the 2 libraries here; nothing was looked up\n"]),
        (None, 0, ["no database of vulnerabilities answers here; nothing was looked up\n"]),
    ],
    ids=["safe", "some unknown", "wrong", "none known", "no network"],
)
def test_what_pip_audit_finds_is_told(
    tmp_path: Path, printed: list[dict[str, Any]] | None, code: int, told: list[str]
) -> None:
    program = tmp_path / "bin" / "pip-audit"
    program.parent.mkdir()
    text = "" if printed is None else json.dumps({"dependencies": printed})
    program.write_text(f"#!{sys.executable}\nprint({text!r})\nraise SystemExit({int(code or printed is None)})\n")
    program.chmod(0o700)
    environment = {**os.environ, "DEV": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "audit"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    for line in told:
        assert line in done.stdout + done.stderr


def test_bandit_finds_nothing_that_has_no_reason() -> None:
    bandit = shutil.which("bandit", path=str(Path(sys.executable).parent))
    if bandit is None:
        pytest.skip("bandit is not installed; it comes with the extra dev")
    command = [bandit, "--quiet", "--configfile", "pyproject.toml", "--recursive", "."]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
