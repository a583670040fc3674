"""The examples of docs/api.md, executed as they stand there against a running system."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from center.web import app
from deploy.local.certs import make
from deploy.local.stack import Ports, Stack, running
from wire.runtime.direct import open_url

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def demo() -> Iterator[Stack]:
    with running(Ports.free(), print) as stack:
        yield stack


def said(stack: Stack, number: int, folder: Path | None = None) -> list[str]:
    """What one example prints, with the ports of this system. folder: in which it runs"""
    text = EXAMPLES[number]
    for documented, free in ((50051, stack.ports.center), (50052, stack.ports.emulator), (8080, stack.ports.page)):
        text = text.replace(f"127.0.0.1:{documented}", f"127.0.0.1:{free}")
    done = subprocess.run(
        [sys.executable, "-c", text],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_no_example_is_left_out() -> None:
    assert len(EXAMPLES) == 4


def test_pictures_come_over_grpc(demo: Stack) -> None:
    last = said(demo, 0)[-2:]
    assert [re.sub(r"\d+ ms$", "N ms", line) for line in last] == [
        "VIEW_LEFT (128, 256, 3) N ms",
        "VIEW_RIGHT (128, 256, 3) N ms",
    ]


def test_pictures_come_through_a_lock(tmp_path: Path) -> None:
    make(tmp_path / "certs")
    with running(Ports.free(), print, certs=tmp_path / "certs") as stack:
        assert re.fullmatch("demo [12] views", said(stack, 1, tmp_path)[0])


def test_a_link_is_changed_over_grpc(demo: Stack) -> None:
    assert said(demo, 2) == ["-2.0"]
    with open_url(f"http://127.0.0.1:{demo.ports.page}/api/links", 10) as answer:
        links = {link["view"]: link["settings"]["snr_db"] for link in json.load(answer)["links"]}
    assert links["left"] == -2.0


def test_more_pictures_come_over_the_websocket_than_may_stay_unanswered(demo: Stack) -> None:
    lines = said(demo, 3)
    assert len(lines) >= 4
    assert all(re.fullmatch(r"(left|right) [1-9]\d{2,} \d+ ms old", line) for line in lines), lines


def test_every_address_of_the_page_is_listed() -> None:
    source = Path(str(app.__file__)).read_text(encoding="utf-8")
    found = re.findall(r'Route\("(/[a-z][^"]*)"', source)
    routes = {path.replace("{rig:path}/{view}", "RIG/VIEW") for path in found}
    assert len(routes) > 4
    assert all(re.search(rf"{path}[`?]", PAGE) for path in routes), routes
