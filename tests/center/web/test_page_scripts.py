"""The page's scripts, as node sees them: tests/center/web/page."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from center.web.app import PAGE
from center.web.links import LinkChange
from wire.views import View

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


def test_what_the_page_proposes_to_try_is_taken_by_the_center() -> None:
    if NODE is None:
        pytest.skip("node is not installed: the page's scripts stay untested")
    show = f"import {{ PRESETS }} from '{(PAGE / 'presets.js').as_uri()}'; console.log(JSON.stringify(PRESETS))"
    presets = json.loads(subprocess.check_output([NODE, "--input-type=module", "-e", show], timeout=60))
    changes = [preset[view] for preset in presets for view in View if preset[view] != "reset"]
    assert len(changes) >= 2
    for change in changes:
        LinkChange.read(json.dumps(change).encode())
