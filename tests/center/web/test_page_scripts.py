"""The page's scripts, as node sees them: tests/center/web/page."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parent / "page").glob("*.test.mjs"))
NODE = shutil.which("node")


def test_every_script_test_passes() -> None:
    if NODE is None:
        pytest.skip("node is not installed: the page's scripts stay untested")
    command = [NODE, "--test", "--test-reporter=tap", *map(str, SCRIPTS)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    assert passed is not None
    assert int(passed[1]) >= len(SCRIPTS) > 0
